//! A text as sentences of words.

use std::collections::HashMap;

/// A word's place in the [`Vocabulary`].
pub(crate) type Word = u32;

/// Stands before the first and after the last word of a sentence.
pub(crate) const BOUNDARY: Word = 0;

/// Shorter ones are headings and remains of lists; longer ones are tables.
const SENTENCE_WORDS: std::ops::RangeInclusive<usize> = 4..=60;

/// All words met so far, each with its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    words: Vec<String>,
    numbers: HashMap<String, Word>,
}

impl Vocabulary {
    /// Takes up the words of a checkpoint, in their order.
    pub(crate) fn of(words: Vec<String>) -> Self {
        let numbered = (BOUNDARY + 1..).zip(&words);
        let numbers = numbered.map(|(number, word)| (word.clone(), number)).collect();
        Self { words, numbers }
    }

    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// The word's number, a new one if it has none yet.
    pub(crate) fn number(&mut self, word: &str) -> Word {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        self.words.push(word.to_owned());
        let number = Word::try_from(self.words.len()).expect("a text has less than 2^32 words");
        self.numbers.insert(word.to_owned(), number);
        number
    }

    /// The sentence in letters.
    pub(crate) fn spell(&self, sentence: &[Word]) -> String {
        let word = |number: &Word| {
            let index = usize::try_from(number.checked_sub(BOUNDARY + 1)?).ok()?;
            self.words.get(index).map(String::as_str)
        };
        sentence.iter().filter_map(word).collect::<Vec<_>>().join(" ")
    }
}

/// The sentences of a text in Markdown or without any markup, words separated by blanks.
///
/// Code blocks and tables are not prose and are passed over.
pub(crate) fn sentences(text: &str) -> Vec<Vec<String>> {
    let mut sentences = Vec::new();
    let mut sentence: Vec<String> = Vec::new();
    let mut in_code = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        let prose = !in_code && !line.starts_with(['|', '<', '`']);
        // An empty line, a heading or an item of a list ends the sentence before it.
        if !prose || line.is_empty() || line.starts_with(['#', '-', '*']) {
            sentences.push(std::mem::take(&mut sentence));
        }
        for word in line.split_whitespace().filter(|_| prose).filter_map(bare_word) {
            let ends = word.ends_with(['.', '!', '?']);
            sentence.push(word);
            if ends {
                sentences.push(std::mem::take(&mut sentence));
            }
        }
    }
    sentences.push(sentence);
    sentences.retain(|sentence| SENTENCE_WORDS.contains(&sentence.len()));
    sentences
}

/// The word without markup; `None` if nothing is left.
fn bare_word(word: &str) -> Option<String> {
    let bare = word.replace(['*', '`'], "");
    // Of a link, `[text](target).`, the text and the full stop.
    let bare = match bare.split_once("](") {
        Some((label, rest)) => {
            let after = rest.split_once(')').map_or("", |(_, after)| after);
            format!("{label}{after}")
        }
        None => bare,
    };
    let bare = bare.trim_matches(|c: char| "_#>[]()\"".contains(c));
    bare.contains(char::is_alphanumeric).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> Vec<String> {
        sentences(text).iter().map(|sentence| sentence.join(" ")).collect()
    }

    #[test]
    fn prose_becomes_sentences() {
        let text =
            "# A heading\n\nThe jar is *full*. It was\nnot always so!\n\n- an item of the list";
        assert_eq!(
            spelled(text),
            ["The jar is full.", "It was not always so!", "an item of the list"]
        );
    }

    #[test]
    fn code_and_tables_are_passed_over() {
        let text = "One two three four.\n```sh\nrm -rf one two three\n```\n| a | b | c | d |\n\
                    Five `six` [seven](7.md) **eight**.";
        assert_eq!(spelled(text), ["One two three four.", "Five six seven eight."]);
    }

    #[test]
    fn words_keep_their_numbers_across_a_checkpoint() {
        let mut vocabulary = Vocabulary::default();
        let sentence: Vec<_> = ["to", "be", "or", "to"].map(|word| vocabulary.number(word)).into();
        assert_eq!(sentence, [1, 2, 3, 1]);
        let mut restored = Vocabulary::of(vocabulary.words().to_vec());
        assert_eq!(restored.spell(&sentence), "to be or to");
        assert_eq!((restored.number("be"), restored.number("not")), (2, 4));
        assert_eq!(restored.spell(&[BOUNDARY, 99, 1]), "to");
    }
}
