use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn param(text: &str) -> Param {
    text.parse().unwrap()
}

fn values(text: &str) -> Vec<String> {
    param(text).values
}

fn refused(text: &str) -> String {
    text.parse::<Param>().unwrap_err().to_string()
}

fn sweep(params: &[&str]) -> Sweep {
    Sweep::new(params.iter().map(|text| param(text)).collect()).unwrap()
}

fn base(words: &[&str]) -> ExperimentSpec {
    let words = words.iter().map(|&word| word.to_owned()).collect();
    ExperimentSpec::new(ExperimentId::new("train").unwrap(), words)
}

#[test]
fn values_are_lists_and_ranges_of_integers() {
    assert_eq!(values("lr=0.1,0.2"), ["0.1", "0.2"]);
    assert_eq!(values("seed=1..3"), ["1", "2", "3"]);
    assert_eq!(values("seed=1..3,7,10..20..5"), ["1", "2", "3", "7", "10", "15", "20"]);
    assert_eq!(values("t=2..-2..-2"), ["2", "0", "-2"]);
    assert_eq!(values("one=x"), ["x"]);
    assert_eq!(values("expression=a=b,c"), ["a=b", "c"]);
}

#[test]
fn a_quoted_value_is_taken_as_it_is() {
    assert_eq!(values(r#"x="a,b","","say ""hi""",1..2"#), ["a,b", "", r#"say "hi""#, "1", "2"]);
    assert_eq!(values(r#"x="a..b""#), ["a..b"]);
    assert_eq!(values("data=../train,a/../b"), ["../train", "a/../b"]);
    assert_eq!(values("inch=5\""), ["5\""]);
}

#[test]
fn an_invalid_parameter_is_refused_with_a_sentence() {
    for (text, why) in [
        ("lr", "is not a parameter"),
        ("lr=", "is not a parameter"),
        ("=1", "name of a parameter"),
        ("1x=1", "name of a parameter"),
        ("a-b=1", "name of a parameter"),
        ("config=a,b", "the definition's own"),
        ("lr=0.1,,0.2", "empty value"),
        ("lr=0.1,", "empty value"),
        ("x=\"a", "does not end well"),
        ("x=\"a\"b", "does not end well"),
        ("lr=0.1..0.5", "is not a range"),
        ("lr=a..z", "is not a range"),
        ("lr=1..", "is not a range"),
        ("lr=1..5..0", "is not a range"),
        ("lr=1..2..3..4", "is not a range"),
        ("lr=1...3", "is not a range"),
        ("lr=1..99999999999999999999", "is not a range"),
        ("seed=3..1", "write 3..1..-1"),
        ("seed=1..3..-1", "is empty"),
        ("seed=1..10001", "more than 10000 values"),
        ("seed=-9223372036854775808..9223372036854775807", "more than 10000 values"),
        ("seed=1..3,2", "\"2\" twice"),
    ] {
        assert!(refused(text).contains(why), "{text}: {}", refused(text));
    }
}

#[test]
fn the_last_parameter_changes_fastest() {
    let sweep = sweep(&["lr=0.1,0.2", "seed=1..3"]);
    let all: Vec<String> = sweep.combinations().iter().map(|c| format_combination(c)).collect();
    assert_eq!(
        all,
        [
            "lr=0.1 seed=1",
            "lr=0.1 seed=2",
            "lr=0.1 seed=3",
            "lr=0.2 seed=1",
            "lr=0.2 seed=2",
            "lr=0.2 seed=3"
        ]
    );
}

#[test]
fn a_member_is_the_base_with_its_values() {
    let mut base = base(&["train", "--lr={lr}", "{lr}{seed}", "{other} {{lr}} {", "{lr"]);
    base.environment.insert("HF_HOME".to_owned(), "/hf".to_owned());
    let members =
        sweep(&["lr=0.1,{seed}", "seed=7"]).members(&base, &ExperimentId::new("s").unwrap());
    let members = members.unwrap();
    let ids: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
    assert_eq!(ids, ["s.1", "s.2"]);
    assert_eq!(members[0].command, ["train", "--lr=0.1", "0.17", "{other} {lr} {", "{lr"]);
    assert_eq!(members[1].command[1..3], ["--lr={seed}", "{seed}7"], "a value is no template");
    assert_eq!(members[0].environment["lr"], "0.1");
    assert_eq!(members[0].environment["HF_HOME"], "/hf");
    assert_eq!(members[0].description.as_deref(), Some("train (lr=0.1 seed=7)"));
}

#[test]
fn the_older_tools_variables_set_limits() {
    let members = sweep(&["EXPERIMENT_RAM_LIMIT=1G,2G"])
        .members(&base(&["train"]), &ExperimentId::new("s").unwrap())
        .unwrap();
    assert_eq!(members[1].limits.memory, "2G".parse().ok());
}

#[test]
fn parameters_that_make_no_sweep_are_refused() {
    let params = |texts: &[&str]| Sweep::new(texts.iter().map(|text| param(text)).collect());
    let twice = params(&["a=1", "a=2"]).unwrap_err();
    assert_eq!(twice, SweepError::Twice { name: "a".to_owned() });
    let many = params(&["a=1..101", "b=1..100"]).unwrap_err();
    assert_eq!(many, SweepError::TooMany { count: Some(10_100) });
    assert!(many.to_string().starts_with("10100 combinations are too many"));
    let names = ["a", "b", "c", "d", "e"].map(|name| format!("{name}=1..10000"));
    let endless = params(&names.each_ref().map(String::as_str)).unwrap_err();
    assert_eq!(endless, SweepError::TooMany { count: None });
    let long = ExperimentId::new(&"x".repeat(63)).unwrap();
    let error = sweep(&["a=1"]).members(&base(&["train"]), &long).unwrap_err();
    assert!(matches!(error, SweepError::LongName { .. }));
    let error = sweep(&["BIJ_RUN=1"]).members(&base(&["t"]), &ExperimentId::new("s").unwrap());
    assert!(error.unwrap_err().to_string().contains("themselves"));
}

proptest! {
    #[test]
    fn every_combination_is_there_once(sizes in prop::collection::vec(1_usize..6, 0..5)) {
        let params = sizes.iter().enumerate().map(|(at, size)| Param {
            name: format!("p{at}"),
            values: (0..*size).map(|value| value.to_string()).collect(),
        });
        let sweep = Sweep::new(params.collect()).unwrap();
        let all = sweep.combinations();
        prop_assert_eq!(all.len(), sizes.iter().product::<usize>());
        let distinct: BTreeSet<String> = all.iter().map(|c| format_combination(c)).collect();
        prop_assert_eq!(distinct.len(), all.len());
        let members = sweep.members(&base(&["t"]), &ExperimentId::new("t").unwrap()).unwrap();
        let ids: BTreeSet<_> = members.iter().map(|member| member.id.clone()).collect();
        prop_assert_eq!(ids.len(), all.len());
    }

    #[test]
    fn a_list_is_read_as_it_was_written(
        values in prop::collection::btree_set("[ -~]{0,12}", 1..20),
    ) {
        let quoted: Vec<String> =
            values.iter().map(|v| format!("\"{}\"", v.replace('"', "\"\""))).collect();
        let read = format!("x={}", quoted.join(",")).parse::<Param>().unwrap();
        prop_assert_eq!(read.values, values.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_range_has_its_ends_and_no_other_step(
        first in -1000_i64..1000, count in 1_i64..500, step in prop_oneof![-9_i64..=-1, 1_i64..=9],
    ) {
        let last = first + step * (count - 1);
        let values = format!("x={first}..{last}..{step}").parse::<Param>().unwrap().values;
        let numbers: Vec<i64> = values.iter().map(|value| value.parse().unwrap()).collect();
        prop_assert_eq!(numbers.len(), usize::try_from(count).unwrap());
        prop_assert_eq!((numbers[0], numbers[numbers.len() - 1]), (first, last));
        prop_assert!(numbers.windows(2).all(|pair| pair[1] - pair[0] == step));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        if let Ok(param) = text.parse::<Param>() {
            prop_assert!(!param.values.is_empty());
            let _ = substitute(&text, &[(&param.name, &param.values[0])]);
        }
    }

    #[test]
    fn a_word_without_a_placeholder_stays(word in "[^{]{0,30}") {
        prop_assert_eq!(substitute(&word, &[("lr", "0.1")]), word);
    }
}
