//! One life: it reads, it speaks, and it remembers what it said.

use std::collections::VecDeque;

use bij_examples::Dice;
use serde::{Deserialize, Serialize};

use crate::mind::{Memory, Mind};
use crate::text::{BOUNDARY, Vocabulary, Word};

/// Two words of context are enough to sound like the text without reciting it.
const READING_ORDER: usize = 2;
/// In talk it remembers ever longer contexts, up to this many words.
const TALKING_ORDER: usize = 12;
/// Number of turns after which contexts grow by one word.
const TURNS_PER_ORDER: u64 = 4;
const SENTENCES_READ_PER_TURN: usize = 8;
/// Makes a turn cost some 350 KiB of memory: a jar of 64 MiB is full after about 180 of them.
const WORDS_SPOKEN_PER_TURN: usize = 400;
const SENTENCE_MAX: usize = 40;
/// How often it says something as it did before, instead of as the text does.
const FROM_TALK_PERCENT: usize = 30;
/// How often it looks at one word only, which leads it off the text.
const WANDER_PERCENT: usize = 40;
/// After a death by memory it holds at most this share of what it held then.
const MEANS_PERCENT: usize = 60;
/// Fewer contexts than this make no conversation.
const MEANS_MIN: usize = 2_000;

/// What survives a death: the reading and the lessons, not the conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Turns spoken in this run.
    pub(crate) turn: u64,
    /// Contexts of conversation held when this was saved.
    pub(crate) held: usize,
    /// The most contexts of conversation that it allows itself.
    pub(crate) means: Option<usize>,
    /// The run has come to its end: the next one begins a conversation from the first turn.
    pub(crate) done: bool,
    /// Which text it was reading, and how many sentences of it are read.
    text: u64,
    read: usize,
    vocabulary: Vec<String>,
    reading: Vec<Memory>,
}

impl Kept {
    /// What a death by memory teaches: to hold less than what was too much.
    pub(crate) fn learn_from_death_by_memory(&mut self) {
        let too_much = self.means.map_or(self.held, |means| means.min(self.held));
        self.means = Some((too_much * MEANS_PERCENT / 100).max(MEANS_MIN));
    }

    /// The reading without the lessons: each run is to be a life of its own.
    pub(crate) fn for_a_new_run(self) -> Self {
        Self { turn: 0, held: 0, means: None, done: false, ..self }
    }

    /// How many contexts of the text it knows.
    pub(crate) fn contexts_read(&self) -> usize {
        self.reading.len()
    }
}

/// A mind at work.
#[derive(Debug)]
pub(crate) struct Life {
    seed: u64,
    turn: u64,
    first_turn: u64,
    means: Option<usize>,
    vocabulary: Vocabulary,
    text: Vec<Vec<Word>>,
    text_mark: u64,
    read: usize,
    reading: Mind,
    conversation: Mind,
    spoken: VecDeque<String>,
}

impl Life {
    /// Goes on from what was kept, with an empty conversation.
    pub(crate) fn begin(kept: Kept, text: &[Vec<String>], seed: u64) -> Self {
        let text_mark = mark_of(text);
        let mut vocabulary = Vocabulary::of(kept.vocabulary);
        let number = |sentence: &Vec<String>| -> Vec<Word> {
            sentence.iter().map(|word| vocabulary.number(word)).collect()
        };
        let text = text.iter().map(number).collect();
        Self {
            seed,
            turn: kept.turn,
            first_turn: kept.turn,
            means: kept.means,
            vocabulary,
            text,
            text_mark,
            // Another text is read from its beginning, on top of what is known.
            read: if kept.text == text_mark { kept.read } else { 0 },
            reading: kept.reading.into_iter().collect(),
            conversation: Mind::default(),
            spoken: VecDeque::new(),
        }
    }

    pub(crate) fn turn(&self) -> u64 {
        self.turn
    }

    pub(crate) fn held(&self) -> usize {
        self.conversation.held()
    }

    /// How many of its sentences it still has in mind.
    pub(crate) fn sentences_remembered(&self) -> usize {
        self.spoken.len()
    }

    pub(crate) fn last_sentence(&self) -> &str {
        self.spoken.back().map_or("", String::as_str)
    }

    /// What would survive a death now.
    pub(crate) fn kept(&self, done: bool) -> Kept {
        Kept {
            turn: self.turn,
            held: self.held(),
            means: self.means,
            done,
            text: self.text_mark,
            read: self.read,
            vocabulary: self.vocabulary.words().to_vec(),
            reading: self.reading.memories(),
        }
    }

    /// Reads on, speaks, and remembers. Given the same kept state and seed, it says the same.
    pub(crate) fn take_turn(&mut self) {
        self.turn += 1;
        for sentence in self.text.iter().skip(self.read).take(SENTENCES_READ_PER_TURN) {
            let mut bounded = vec![BOUNDARY];
            bounded.extend(sentence);
            bounded.push(BOUNDARY);
            self.reading.learn(&bounded, READING_ORDER, self.turn);
        }
        self.read = (self.read + SENTENCES_READ_PER_TURN).min(self.text.len());

        let mut dice = Dice::for_moment(self.seed, self.turn);
        let order = self.order();
        let mut talk = vec![BOUNDARY];
        while talk.len() <= WORDS_SPOKEN_PER_TURN {
            let before = talk.len();
            self.babble_on(&mut talk, order, &mut dice);
            self.spoken.push_back(self.vocabulary.spell(&talk[before..]));
        }
        // As one stream: a context may begin in the sentence before.
        self.conversation.learn(&talk, order, self.turn);
        if let Some(means) = self.means
            && self.held() > means
        {
            // Some room at once, so that not every turn has to forget.
            self.conversation.forget_down_to(means / 100 * 80);
            self.spoken.drain(..self.spoken.len() / 2);
        }
    }

    fn order(&self) -> usize {
        let grown = (self.turn - self.first_turn) / TURNS_PER_ORDER;
        usize::try_from(grown)
            .map_or(TALKING_ORDER, |grown| (READING_ORDER + grown).min(TALKING_ORDER))
    }

    /// Adds one sentence and the boundary after it.
    fn babble_on(&self, talk: &mut Vec<Word>, order: usize, dice: &mut Dice) {
        for _ in 0..SENTENCE_MAX {
            let remembered = dice
                .percent(FROM_TALK_PERCENT)
                .then(|| self.conversation.next(talk, order, dice))
                .flatten();
            let read_order = if dice.percent(WANDER_PERCENT) { 1 } else { READING_ORDER };
            let next = remembered.or_else(|| self.reading.next(talk, read_order, dice));
            match next {
                None | Some(BOUNDARY) => break,
                Some(word) => talk.push(word),
            }
        }
        talk.push(BOUNDARY);
    }
}

/// A number that another text would not have: FNV-1a over its words.
fn mark_of(text: &[Vec<String>]) -> u64 {
    let bytes = text.iter().flatten().flat_map(|word| word.bytes().chain([b' ']));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::sentences;

    fn text() -> Vec<Vec<String>> {
        sentences(
            "The jar holds the mind. The mind fills the jar with talk. A full jar ends the mind. \
             The end of the mind is not the end of the jar. What the mind has read it keeps.",
        )
    }

    fn lived(mut life: Life, turns: u64) -> Life {
        (0..turns).for_each(|_| life.take_turn());
        life
    }

    #[test]
    fn the_same_state_says_the_same_and_another_seed_does_not() {
        let talk = |seed| Vec::from(lived(Life::begin(Kept::default(), &text(), seed), 5).spoken);
        assert_eq!(talk(1), talk(1));
        assert_ne!(talk(1), talk(2));
        assert!(talk(1).iter().any(|sentence| sentence.split(' ').count() > 3));
    }

    #[test]
    fn it_grows_steadily_in_a_jar_without_walls() {
        let mut life = Life::begin(Kept::default(), &text(), 1);
        let mut before = 0;
        for _ in 0..10 {
            life = lived(life, 10);
            assert!(life.held() > before);
            before = life.held();
        }
    }

    #[test]
    fn a_resurrection_has_lost_the_conversation_and_kept_the_reading() {
        let life = lived(Life::begin(Kept::default(), &text(), 1), 20);
        let kept: Kept =
            serde_json::from_slice(&serde_json::to_vec(&life.kept(false)).unwrap()).unwrap();
        assert!(kept.contexts_read() > 0 && kept.held > 0);
        let reborn = Life::begin(kept.clone(), &text(), 1);
        assert_eq!((reborn.turn(), reborn.held(), reborn.sentences_remembered()), (20, 0, 0));
        assert_eq!(reborn.reading.memories(), life.reading.memories());
        // Nothing of the text is read a second time, another text is read from its beginning.
        assert_eq!(reborn.read, text().len());
        assert_eq!(Life::begin(kept, &text()[1..], 1).read, 0);
    }

    #[test]
    fn each_death_by_memory_makes_it_more_modest() {
        let mut kept = Kept { held: 100_000, ..Kept::default() };
        kept.learn_from_death_by_memory();
        assert_eq!(kept.means, Some(60_000));
        kept.held = 55_000;
        kept.learn_from_death_by_memory();
        assert_eq!(kept.means, Some(33_000));
        (0..20).for_each(|_| kept.learn_from_death_by_memory());
        assert_eq!(kept.means, Some(MEANS_MIN));
    }

    #[test]
    fn it_lives_within_its_means() {
        let kept = Kept { means: Some(3_000), ..Kept::default() };
        let mut life = Life::begin(kept, &text(), 1);
        for _ in 0..60 {
            life.take_turn();
            assert!(life.held() <= 3_000, "{}", life.held());
        }
        assert_eq!(life.kept(true).means, Some(3_000));
    }
}
