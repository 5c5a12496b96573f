//! What the example experiments share: a reproducible dice, a wish to leave, a voice.
//!
//! The experiments themselves are the programs in `src/bin`, one folder each, and
//! `python/dreamer_004.py`. What they show is told in this folder's `README.md`.
//!
//! ```
//! use bij_examples::Dice;
//!
//! // The same seed and the same moment give the same throws: an experiment that is killed and
//! // resumed arrives where an undisturbed one would have.
//! let throws = |moment| Dice::for_moment(7, moment).below(1_000_000);
//! assert_eq!(throws(3), throws(3));
//! assert_ne!(throws(3), throws(4));
//! ```

mod dice;
mod leave;
mod memento;
mod memory;
mod pace;
mod voice;

pub use dice::Dice;
pub use leave::Leave;
pub use memento::{Memento, Recalled, RememberError};
pub use memory::resident_bytes;
pub use pace::Pace;
pub use voice::{conclude, say, with_sources};
