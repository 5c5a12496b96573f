//! An independent parser of unit files, modelled on systemd's code: `config_parse()` of
//! `shared/conf-parser.c`, `extract_first_word()` of `basic/extract-word.c` with
//! `EXTRACT_UNQUOTE|EXTRACT_CUNESCAPE`, `cunescape_one()` of `basic/escape.c`,
//! `specifier_printf()` of `shared/specifier.c` and `config_parse_exec()` of
//! `core/load-fragment.c`. It refuses what systemd refuses.

use std::collections::BTreeMap;

/// The assignments of a unit file in their order.
pub(super) struct UnitText(Vec<(String, String, String)>);

impl UnitText {
    pub(super) fn parse(text: &str) -> Self {
        let (mut section, mut assignments) = (String::new(), Vec::new());
        let mut continued = String::new();
        for line in text.split('\n') {
            let line = line.trim_start();
            if line.starts_with(['#', ';']) {
                continue;
            }
            let logical = format!("{continued}{line}");
            let escaped = logical.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
            if escaped {
                continued = format!("{} ", &logical[..logical.len() - 1]);
                continue;
            }
            continued.clear();
            let logical = logical.trim();
            if let Some(name) = logical.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if !logical.is_empty() {
                let (name, value) = logical.split_once('=').expect("an assignment");
                let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
                assignments.push((section.clone(), name, value));
            }
        }
        Self(assignments)
    }

    pub(super) fn values(&self, section: &str, name: &str) -> Vec<String> {
        let wanted = |(s, n, _): &&(String, String, String)| s == section && n == name;
        self.0.iter().filter(wanted).map(|(_, _, value)| value.clone()).collect()
    }

    /// `Environment=` of the service, later ones over earlier ones.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for value in self.values("Service", "Environment") {
            let mut rest = &value[..];
            while let Some(word) = first_word(&mut rest).expect("words") {
                let text = expand_specifiers(&word).expect("specifiers");
                let (name, value) = text.split_once('=').expect("an assignment");
                environment.insert(name.to_owned(), value.to_owned());
            }
        }
        environment
    }
}

/// Returns the arguments of one `ExecStart=` value; `None` where systemd would refuse it.
pub(super) fn exec_start(value: &str) -> Option<Vec<String>> {
    let mut rest = value;
    let first = first_word(&mut rest)??;
    let mut program = &first[..];
    let mut expands = true;
    while let Some(prefix) = program.chars().next().filter(|c| "-@:+!|".contains(*c)) {
        if prefix != ':' {
            return None; // any other would change how the program is run
        }
        expands = false;
        program = &program[1..];
    }
    let program = expand_specifiers(program)?;
    let safe = |c: char| !c.is_ascii_control() && !"\"'\\".contains(c);
    let is_path =
        program.starts_with('/') || !program.contains('/') && !matches!(&program[..], "." | "..");
    let simple = !program.contains("//") && !program.contains("/./") && !program.ends_with("/.");
    if expands || program.is_empty() || program.ends_with('/') || !is_path || !simple {
        return None;
    }
    if !program.chars().all(safe) {
        return None;
    }
    let mut argv = vec![program];
    while !rest.is_empty() {
        if rest == ";" || rest.starts_with("; ") {
            return None; // a second command
        }
        match first_word(&mut rest)? {
            Some(word) => argv.push(expand_specifiers(&word)?),
            None => break,
        }
    }
    Some(argv)
}

/// Expands `%%`; `None` for any other specifier, which would not expand to itself.
pub(super) fn expand_specifiers(text: &str) -> Option<String> {
    let mut chars = text.chars();
    let mut expanded = String::new();
    while let Some(c) = chars.next() {
        if c == '%' && chars.next()? != '%' {
            return None;
        }
        expanded.push(c);
    }
    Some(expanded)
}

/// Removes one word from the front; the outer `None` is an error, the inner one the end.
#[expect(clippy::option_option, reason = "as extract_first_word(): an error, the end, or a word")]
fn first_word(rest: &mut &str) -> Option<Option<String>> {
    let blank = |c: char| " \t\n\r".contains(c);
    *rest = rest.trim_start_matches(blank);
    if rest.is_empty() {
        return Some(None);
    }
    let (mut word, mut quote) = (String::new(), None);
    let mut chars = rest.char_indices();
    loop {
        let Some((at, c)) = chars.next() else {
            *rest = "";
            return quote.is_none().then_some(Some(word));
        };
        match (c, quote) {
            ('\\', _) => word.push(unescape(&mut chars)?),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if blank(c) => {
                *rest = rest[at..].trim_start_matches(blank);
                return Some(Some(word));
            }
            (c, _) => word.push(c),
        }
    }
}

fn unescape(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    Some(match chars.next()?.1 {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        's' => ' ',
        c @ ('\\' | '"' | '\'') => c,
        'x' => {
            let high = chars.next()?.1.to_digit(16)?;
            let low = chars.next()?.1.to_digit(16)?;
            // Above ASCII it would be a byte, not a character.
            char::from_u32(high * 16 + low).filter(|c| c.is_ascii() && *c != '\0')?
        }
        _ => return None,
    })
}
