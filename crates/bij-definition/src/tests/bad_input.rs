use proptest::prelude::*;

use super::*;

#[test]
fn an_unknown_key_is_reported_with_its_line_and_the_nearest_key() {
    assert_eq!(
        complaint("[limits]\ntasks = 5\nmemroy = '8G'"),
        "x.toml:4: limits.memroy: unknown key\n  hint: did you mean `memory`?"
    );
    assert_eq!(
        complaint("[limit]\nmemory = '8G'"),
        "x.toml:2: limit: unknown table\n  hint: did you mean `limits`?"
    );
    assert_eq!(
        complaint("memory = '8G'"),
        "x.toml:2: memory: unknown key\n  \
         hint: `memory` belongs in [limits]: [limits] memory = \"8G\""
    );
    assert_eq!(
        complaint("[limits]\nuser = 'me'"),
        "x.toml:3: limits.user: unknown key\n  \
         hint: `user` goes above all tables: user = \"brain\""
    );
    assert!(complaint("MemoryMax = '8G'").contains("written here as: [limits] memory = \"8G\""));
    assert!(complaint("[power]\nxyzzy = 1").contains("the keys of [power] are mode, clocks"));
}

#[test]
fn every_problem_of_a_file_is_reported() {
    let error = parse_toml(
        "comand = ['/bin/true']\ndirectory = 'here'\n[limits]\nmemory = 8\ncpu = '2x'\n\
         [sandbox]\nprofile = 'strickt'\n",
    )
    .unwrap_err();
    let lines: Vec<_> = error.problems.iter().map(|p| p.location.line).collect();
    assert_eq!(lines, [None, Some(1), Some(2), Some(4), Some(5), Some(7)]);
}

#[test]
fn an_invalid_value_is_reported_with_what_was_expected() {
    for (rest, message) in [
        ("[limits]\nmemory = 8", "limits.memory: 8 has no unit, expected a size such as"),
        ("[limits]\nmemory = 8", "\"8G\" or \"8M\"?"),
        ("[limits]\nmemory = '4096'", "4096 has no unit"),
        ("[limits]\nmemory = '8GB'", "did you mean \"8G\"?"),
        ("[limits]\nmemory = '8 gib'", "did you mean \"8G\"?"),
        ("[limits]\nmemory = '8Gi'", "did you mean \"8G\"?"),
        ("[limits]\nmemory = '0G'", "memory cannot be limited to 0"),
        ("[limits]\nmemory = '0%'", "memory cannot be limited to 0"),
        ("[limits]\nmemory = '0.0001K'", "memory cannot be limited to 0"),
        ("[limits]\nmemory = '120%'", "a share of memory up to 100%"),
        ("[limits]\nmemory = true", "found true, expected a size"),
        ("[limits]\ncpu = 2", "2 whole processors are \"200%\""),
        ("[limits]\ncpu = '150'", "did you mean \"150%\"?"),
        ("[limits]\ncpus = '7-0'", "a set of processors such as \"0-3,8\""),
        ("[limits]\ncpus = 4", "a set of processors such as \"0-3,8\""),
        ("[limits]\ntasks = 0", "a number of processes and threads from 1"),
        ("[limits]\ntasks = -1", "found the number -1"),
        ("[limits]\ntasks = 99999999999999999999999", "found the number 99999999999999999999999"),
        ("[limits]\ntime = 0", "found a span of 0"),
        ("[limits]\ntime = '12 parsecs'", "found \"12 parsecs\", expected a span of time"),
        ("[stop]\ngrace = '0s'", "found a span of 0"),
        ("[stop]\nsignal = 'SIGTREM'", "did you mean \"SIGTERM\"?"),
        ("[stop]\nsignal = 'kill'", "did you mean \"SIGKILL\"?"),
        ("[restart]\nburst = 0", "1 never restarts it"),
        ("[restart]\non_reboot = 'resum'", "did you mean \"resume\"?"),
        ("[restart]\ndelay = 1979-05-27", "found a date or time"),
        ("[thermal]\nmax_celsius = 800", "degrees Celsius from 20 to 125"),
        ("[thermal]\nmax_celsius = nan", "degrees Celsius from 20 to 125"),
        ("[power]\nmode = -1", "a mode of this board's nvpmodel list"),
        ("[power]\nmode = ' '", "a mode of this board's nvpmodel list"),
        ("[power]\nclocks = 'maxx'", "did you mean \"max\"?"),
        ("[queue]\npriority = 1.5", "a whole number, higher goes first"),
        ("[queue]\nafter = ['a', '../x']", "queue.after[1]: \"../x\" is not an experiment id"),
        ("[queue]\nafter = ['x']", "an experiment cannot wait for itself"),
        ("[queue]\nafter = { any = [] }", "expected at least one experiment"),
        ("[queue]\nafter = { one = ['a'] }", "a list of experiments, or { any = [...] }"),
        ("[gpu]\naccess = 'yes'", "found \"yes\", expected true or false"),
        ("limits = 5", "limits: found the number 5, expected a table"),
        ("description = \"a\\nb\"", "one line without control characters"),
        ("user = 'me@home'", "a user's name or number"),
        ("user = 65535", "a user's name or number"),
        ("writable = ['logs']", "writable[0]: found \"logs\", expected an absolute path"),
        ("writable = ['/a/../etc']", "writable[0]: found \"/a/../etc\""),
        ("directory = '~/brain'", "write it out: \"/home/brain/brain\""),
        ("environment = { '1A' = 'x' }", "environment.1A: the name of a variable"),
        ("environment = { BIJ_RUN = 'x' }", "environment.BIJ_RUN: systemd and bij set this"),
        ("environment = { NOTIFY_SOCKET = 'x' }", "systemd and bij set this variable"),
        ("environment = { SEED = 42 }", "put it in quotes: \"42\""),
        ("environment = { A = \"\\u0007\" }", "the control character U+0007"),
        ("config = \"a\\u0000b\"", "config: the text contains a NUL byte"),
    ] {
        let complaint = complaint(rest);
        assert!(complaint.contains(message), "{rest:?} gave: {complaint}");
    }
}

#[test]
fn an_invalid_command_is_reported_with_a_valid_one() {
    for (text, message) in [
        ("", "there is no command"),
        ("command = []", "the list is empty"),
        ("command = 'python3 run.py'", "hint: command = [\"python3\", \"run.py\"]"),
        ("command = ['./run.sh']", "hint: write it out: \"/path/to/run.sh\""),
        ("command = ['bin/run']", "the absolute path of a program, or a bare name"),
        ("command = ['']", "the program's name is empty"),
        ("command = ['-x']", "the absolute path of a program, or a bare name"),
        ("command = ['/bin/']", "the path of a program"),
        ("command = ['/bin/true', 5]", "command[1]: found the number 5"),
        ("command = ['/bin/true', \"a\\u0000\"]", "command[1]: the text contains a NUL byte"),
        ("command = ['/bin/run', '{config}']", "there is no config"),
    ] {
        let complaint = parse_toml(text).unwrap_err().to_string();
        assert!(complaint.contains(message), "{text:?} gave: {complaint}");
    }
}

#[test]
fn a_duplicate_key_is_reported_with_the_other_problems() {
    let complaint = complaint("[limits]\nmemory = '8G'\nmemory = '9G'\ntasks = 0");
    assert!(complaint.contains("x.toml:4: duplicate key \"memory\""), "{complaint}");
    assert!(complaint.contains("x.toml:5: limits.tasks"), "{complaint}");
    let json = r#"{"command": ["/bin/true"], "user": "a", "user": "b"}"#;
    let complaint = parse_json(json).unwrap_err().to_string();
    assert!(complaint.contains("x.json:1: duplicate key \"user\""), "{complaint}");
}

#[test]
fn broken_syntax_is_reported_with_its_line() {
    let complaint = complaint("[limits\nmemory = '8G'\nx = = 1");
    assert!(complaint.starts_with("x.toml:2: this is not TOML: "), "{complaint}");
    assert!(complaint.contains("x.toml:4: this is not TOML: "), "{complaint}");
    let json = parse_json("{\n\"command\": [\"/bin/true\",]\n}").unwrap_err().to_string();
    assert_eq!(
        json,
        "x.json:2: this is not JSON: trailing commas are not allowed: found \",\" in column 24"
    );
    for (text, message) in [
        ("{\"a\": nan}", "found \"nan\" in column 7"),
        (
            "{\n  // why\n}",
            "x.json:2: this is not JSON: comments are not allowed: found \"//\" in column 3",
        ),
        ("{\"ä\": 'b'}", "found \"'\" in column 7"),
        ("{\"a\": 1", "in column "),
    ] {
        let complaint = parse_json(text).unwrap_err().to_string();
        assert!(complaint.contains(message), "{text:?}: {complaint}");
    }
    for number in ["NaN", "Infinity", "-Infinity"] {
        let text = format!(
            "{{\"command\": [\"/bin/true\"],\n \"thermal\": {{\"max_celsius\": {number}}}}}"
        );
        let complaint = parse_json(&text).unwrap_err().to_string();
        let message = format!("x.json:2: {number}, in column 29, is not a JSON number");
        assert!(complaint.contains(&message), "{complaint}");
    }
    for text in ["", "5", "[]", "null"] {
        assert!(parse_json(text).unwrap_err().to_string().contains("object"), "{text:?}");
    }
}

#[test]
fn bytes_that_are_not_text_are_reported_with_their_offset() {
    let parse = |bytes: &[u8]| {
        let id = id("x");
        let file = SourceFile::new("x.toml", bytes);
        Definition::new(&id, file, Syntax::Toml).parse().unwrap_err().to_string()
    };
    assert!(
        parse(b"a = 1\nb = \"\xff\"").starts_with("x.toml:2: byte 11 (0xff) is not valid UTF-8")
    );
    assert!(parse(b"a = 1\n\0").starts_with("x.toml:2: byte 6 is NUL"));
    assert!(
        parse(&vec![b'#'; MAX_FILE_BYTES + 1]).starts_with("x.toml: the file has more than 1 MiB")
    );
    let mut whole = vec![b'#'; MAX_FILE_BYTES];
    whole[MAX_FILE_BYTES - 30..].copy_from_slice(b"\ncommand = ['/bin/true']      ");
    let id = id("x");
    let file = SourceFile::new("x.toml", &whole);
    assert!(Definition::new(&id, file, Syntax::Toml).parse().is_ok());
}

#[test]
fn a_megabyte_of_garbage_gives_a_page_of_problems() {
    for text in ["x\n".repeat(100_000), "a=1\n".repeat(50_000)] {
        let error = parse_toml(&text).unwrap_err();
        assert!(error.problems.len() < 60);
        assert!(error.to_string().contains("more problems"));
    }
    assert_eq!(parse_toml(&"= ".repeat(100_000)).unwrap_err().problems.len(), 1);
    let keys: Vec<_> = (0..20_000).map(|n| format!("key_{n} = 1\n")).collect();
    assert!(parse_toml(&keys.concat()).unwrap_err().problems.len() < 60);
    for deep in ["a.".repeat(100_000) + "a = 1", format!("a = {}", "[".repeat(200_000))] {
        assert!(parse_toml(&deep).is_err());
    }
    assert!(parse_json(&"[".repeat(200_000)).is_err());
    let deep = format!("{{\"command\": {}{}}}", "[".repeat(500), "]".repeat(500));
    assert!(parse_json(&deep).is_err());
}

#[test]
fn a_config_that_would_fill_the_memory_is_refused() {
    let placeholders = "'{config}', ".repeat(50_000);
    let text =
        format!("command = ['/bin/true', {placeholders}]\nconfig = '{}'", "x".repeat(100_000));
    assert!(parse_toml(&text).unwrap_err().to_string().contains("more than 262144 bytes"));
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in "[\\[\\]{}=\"'.,#:a-z0-9\\\\\n ]{0,80}") {
        let _ = (parse_toml(&text), parse_json(&text));
    }

    #[test]
    fn no_value_makes_parsing_panic(at in any::<prop::sample::Index>(), value in "\\PC{0,30}") {
        let fields = keys::fields();
        let field = &fields[at.index(fields.len())];
        for value in [value.clone(), format!("{value:?}")] {
            let text = match field.table {
                "" => format!("{} = {value}", field.name),
                table => format!("command = ['x']\n[{table}]\n{} = {value}", field.name),
            };
            let _ = parse_toml(&text);
        }
    }

    #[test]
    fn no_bytes_make_parsing_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let id = id("x");
        for syntax in [Syntax::Toml, Syntax::Json] {
            let file = SourceFile::new("x", &bytes);
            let _ = Definition::new(&id, file, syntax).with_env(file).parse();
        }
    }

    #[test]
    fn a_key_with_one_wrong_letter_gets_a_hint(
        at in any::<prop::sample::Index>(),
        letter in any::<prop::sample::Index>(),
        replacement in "[a-z]",
    ) {
        let fields = keys::fields();
        let field = &fields[at.index(fields.len())];
        let mut key: Vec<char> = field.name.chars().collect();
        let letter = letter.index(key.len());
        key[letter] = replacement.chars().next().unwrap();
        let key: String = key.into_iter().collect();
        // Some changes give another valid key, or are as near to one.
        let is_near = |other: &&&field::Field<_>| {
            other.name != field.name && strsim::damerau_levenshtein(other.name, &key) <= 1
        };
        prop_assume!(field.name != key && !fields.iter().any(|other| is_near(&other)));
        prop_assume!(field.table.is_empty() || strsim::damerau_levenshtein(field.table, &key) > 1);
        let text = match field.table {
            "" => format!("{key} = 1"),
            table => format!("[{table}]\n{key} = 1"),
        };
        let complaint = complaint(&text);
        prop_assert!(complaint.contains(&format!("did you mean `{}`?", field.name)), "{}", complaint);
    }
}
