//! What the program says of the features it was built with and without.

#[path = "support/program.rs"]
mod program;

use std::process::{Command, Output};

use program::program;

fn ramand(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_version_names_what_is_built_in() {
    let features = [("lab", cfg!(feature = "lab")), ("broker", cfg!(feature = "broker"))];
    let mut built: Vec<&str> = features.iter().filter(|(_, built)| *built).map(|(name, _)| *name).collect();
    if built.is_empty() {
        built.push("none");
    }
    let version = env!("CARGO_PKG_VERSION");
    let output = ramand(&["--version"]);
    assert_eq!(text(&output.stdout), format!("ramand {version}\nfeatures: {}\n", built.join(", ")));
    assert_eq!(text(&ramand(&["-V"]).stdout), format!("ramand {version}\n"));
}

#[test]
fn a_command_is_there_or_says_why_it_is_not() {
    let commands: [(&[&str], &str, bool); 4] = [
        (&["train"], "lab", cfg!(feature = "lab")),
        (&["evaluate"], "lab", cfg!(feature = "lab")),
        (&["model", "bundle"], "lab", cfg!(feature = "lab")),
        (&["demo"], "broker", cfg!(feature = "broker")),
    ];
    let help = |group: &[&str]| text(&ramand(&[group, &["--help"]].concat()).stdout);
    for (command, feature, built) in commands {
        let output = ramand(&[command, &["--help"]].concat());
        let (name, group) = command.split_last().expect("a command has a name");
        let listed = help(group).lines().any(|line| line.split_whitespace().next() == Some(name));
        assert_eq!(listed, built, "{command:?} in {}", help(group));
        if built {
            assert!(output.status.success(), "{command:?}: {output:?}");
        } else {
            let said = format!("error: this build of ramand has no `{}`", command.join(" "));
            let why = format!("built without the feature `{feature}`");
            assert_eq!(output.status.code(), Some(78), "{command:?}: {output:?}");
            assert!(text(&output.stderr).contains(&said) && text(&output.stderr).contains(&why), "{output:?}");
        }
    }
}

#[test]
fn a_configuration_may_ask_for_the_broker_only_where_there_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ramand.toml");
    std::fs::write(&path, "[broker]\nenabled = true\n").expect("written");
    for command in ["check", "run", "doctor"] {
        if cfg!(feature = "broker") && command != "check" {
            // Both would look for an instrument.
            continue;
        }
        let output = ramand(&[command, "--config", path.to_str().expect("UTF-8")]);
        let refused = text(&output.stderr).contains("it was built without the feature `broker`");
        assert_eq!(refused, cfg!(not(feature = "broker")), "{command}: {output:?}");
        if refused {
            assert_eq!(output.status.code(), Some(78), "{command}: {output:?}");
        }
    }
}
