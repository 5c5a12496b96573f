use proptest::prelude::*;

use super::*;

fn interpreter(line: &str) -> Option<(String, Option<String>)> {
    match ExecutableFormat::read(line.as_bytes()) {
        ExecutableFormat::Script(Interpreter { path, argument }) => Some((path, argument)),
        ExecutableFormat::Elf { .. } | ExecutableFormat::Other => None,
    }
}

fn named(path: &str, argument: Option<&str>) -> (String, Option<String>) {
    (path.to_owned(), argument.map(str::to_owned))
}

#[test]
fn the_first_line_is_read_as_the_kernel_reads_it() {
    assert_eq!(interpreter("#!/bin/sh\necho"), Some(named("/bin/sh", None)));
    assert_eq!(interpreter("#! \t/bin/sh -e \t\necho"), Some(named("/bin/sh", Some("-e"))));
    assert_eq!(interpreter("#!/bin/sh"), Some(named("/bin/sh", None)), "without a newline");
    assert_eq!(interpreter("#!/bin/bash\r\necho"), Some(named("/bin/bash\r", None)));
    assert_eq!(interpreter("#!/bin/awk -f x\r\n"), Some(named("/bin/awk", Some("-f x\r"))));
    for none in ["#!\n/bin/sh", "#! \t\n", "#!", "#", "", "echo hi\n", "\n#!/bin/sh"] {
        assert_eq!(interpreter(none), None, "{none:?}");
    }
}

#[test]
fn an_interpreter_path_that_the_kernel_would_cut_is_none() {
    let long = format!("#!/{}", "x".repeat(400));
    assert_eq!(interpreter(&long), None);
    let argument = format!("#!/bin/sh {}", "x".repeat(400));
    assert_eq!(interpreter(&argument).unwrap().0, "/bin/sh");
    let just = format!("#!/{}\n", "x".repeat(252));
    assert_eq!(interpreter(&just).unwrap().0.len(), 253);
}

#[test]
fn the_name_that_env_searches_for_is_read() {
    let wanted = |line: &str| match ExecutableFormat::read(line.as_bytes()) {
        ExecutableFormat::Script(interpreter) => interpreter.env_program().map(str::to_owned),
        ExecutableFormat::Elf { .. } | ExecutableFormat::Other => None,
    };
    for (line, name) in [
        ("#!/usr/bin/env python3\n", Some("python3")),
        ("#!/usr/bin/env python3\r\n", Some("python3\r")),
        ("#!/usr/bin/env python3 -u\n", Some("python3 -u")),
        ("#!/usr/bin/env -S python3 -u\n", Some("python3")),
        ("#!/usr/bin/env -S -i A=1 python3 -u\n", Some("python3")),
        ("#!/usr/bin/env -Spython3\n", Some("python3")),
        ("#!/usr/bin/env -i\n", None),
        ("#!/usr/bin/env\n", None),
        ("#!/usr/bin/python3 env\n", None),
    ] {
        assert_eq!(wanted(line).as_deref(), name, "{line:?}");
    }
}

/// A program with one segment, which names its loader.
fn elf(machine: u16, is_64_bit: bool, loader: &str) -> Vec<u8> {
    let mut bytes = vec![0_u8; 256];
    bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', if is_64_bit { 2 } else { 1 }, 1]);
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    let (table, size, count, offset, length) =
        if is_64_bit { (32, 54, 56, 8, 32) } else { (28, 42, 44, 4, 16) };
    bytes[table] = 100;
    bytes[size] = 56;
    bytes[count] = 1;
    bytes[100] = 3;
    bytes[100 + offset] = 200;
    bytes[100 + length] = u8::try_from(loader.len()).unwrap() + 1;
    bytes.truncate(200);
    bytes.extend(loader.bytes());
    bytes.push(0);
    bytes
}

#[test]
fn machine_and_loader_are_read_from_a_program() {
    for (machine, is_64_bit, name) in
        [(183, true, "aarch64"), (3, false, "x86"), (21, true, "machine type 21")]
    {
        let ExecutableFormat::Elf { machine, loader } =
            ExecutableFormat::read(&elf(machine, is_64_bit, "/lib/ld.so"))
        else {
            panic!("it is a program");
        };
        assert_eq!((machine.to_string().as_str(), loader.as_deref()), (name, Some("/lib/ld.so")));
    }
    let cut = &elf(62, true, "/lib/ld.so")[..180];
    assert_eq!(
        ExecutableFormat::read(cut),
        ExecutableFormat::Elf { machine: MachineType(62), loader: None }
    );
    assert_eq!(
        ExecutableFormat::read(b"\x7fELF\x02\x01"),
        ExecutableFormat::Other,
        "too short to be one"
    );
}

#[test]
fn a_kernel_executes_the_programs_of_its_family() {
    for (machine, architecture, foreign) in [
        (62, "x86_64", false),
        (3, "x86_64", false),
        (183, "x86_64", true),
        (183, "aarch64", false),
        (40, "aarch64", false),
        (62, "aarch64", true),
        (62, "loongarch64", false),
    ] {
        assert_eq!(
            MachineType(machine).is_foreign_to(architecture),
            foreign,
            "{machine} {architecture}"
        );
    }
}

proptest! {
    #[test]
    fn no_file_makes_reading_panic(
        magic in prop_oneof![Just(&b"#!"[..]), Just(&b"\x7fELF\x02\x01"[..]), Just(&b"\x7fELF\x01\x02"[..]), Just(&b""[..])],
        rest in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let head = [magic, &rest].concat();
        if let ExecutableFormat::Script(interpreter) = ExecutableFormat::read(&head) {
            prop_assert!(!interpreter.path.is_empty());
            prop_assert!(!interpreter.path.contains([' ', '\t', '\n', '\0']));
        }
    }
}
