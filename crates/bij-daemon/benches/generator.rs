//! The whole generator over a thousand definitions: PID 1 waits for it at every reload.

use std::fs;
use std::hint::black_box;

use bij_core::Layout;
use bij_daemon::{Place, generate};
use bij_definitions::Definitions;
use criterion::{Criterion, criterion_group, criterion_main};

const DEFINITION: &str = r#"
description = "One of a thousand"
command = ["/usr/bin/python3", "-u", "/opt/brain/main.py", "--seed", "7"]
environment = { HF_HOME = "/var/cache/hf" }
[limits]
memory = "8G"
cpu = "150%"
tasks = 512
[restart]
delay = "5s"
[health]
watchdog = "2min"
"#;

fn thousand_definitions(criterion: &mut Criterion) {
    let tree = tempfile::tempdir().expect("a temporary directory can be made");
    let layout = Layout::system(tree.path());
    fs::create_dir_all(layout.definitions()).expect("the tree is ours");
    for number in 0..1000 {
        let path = layout.definitions().join(format!("experiment_{number:04}.toml"));
        fs::write(path, DEFINITION).expect("the tree is ours");
    }
    let place = Place::system(tree.path());
    let definitions = Definitions::new(layout);
    let output = tree.path().join("run/systemd/generator");
    criterion.bench_function("generator, 1000 definitions", |bencher| {
        bencher.iter(|| {
            let generated = generate(&place, &definitions, black_box(&output));
            assert_eq!(generated.written, 1000);
        });
    });
}

criterion_group!(benches, thousand_definitions);
criterion_main!(benches);
