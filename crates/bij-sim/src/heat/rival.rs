//! The policy that a better one is measured by.

use bij_core::Celsius;

use super::HeatWorld;

/// Stops everything from one temperature on and starts everything from another down, for so many
/// seconds; gives how often everything was stopped.
pub fn all_or_nothing(
    world: &mut HeatWorld,
    seconds: f64,
    stop_at: Celsius,
    start_at: Celsius,
) -> usize {
    let until = world.now() + seconds;
    let (mut starts, mut stops) = (true, 0);
    while world.now() < until {
        let die = world.standing().die;
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
