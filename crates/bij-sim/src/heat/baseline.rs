//! A simple policy as the baseline for better ones.

use bij_core::Celsius;

use super::HeatWorld;

/// Stops all experiments at one temperature and starts them again at another, for a time in
/// seconds. Returns how often they were stopped.
pub fn all_or_nothing(
    world: &mut HeatWorld,
    seconds: f64,
    stop_at: Celsius,
    start_at: Celsius,
) -> usize {
    let until = world.now() + seconds;
    let (mut starts, mut stops) = (true, 0);
    while world.now() < until {
        let die = world.snapshot().die;
        if die >= stop_at.degrees() {
            stops += usize::from(starts);
            starts = false;
            for one in world.living() {
                world.stop(&one.experiment);
            }
        } else if die <= start_at.degrees() {
            starts = true;
        }
        while starts && world.start_next() {}
        world.pass(1.0);
    }
    stops
}
