#![allow(clippy::unwrap_used, clippy::panic)]

use clap::CommandFactory;

use super::*;

fn help(command: &str) -> String {
    let mut cli = Cli::command().term_width(100);
    let mut found = cli
        .find_subcommand_mut(command)
        .unwrap()
        .clone()
        .term_width(100);
    found = found.bin_name(format!("millpond {command}"));
    found.render_long_help().to_string()
}

fn refusal(line: &str) -> String {
    let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn help_of_millpond() {
    insta::assert_snapshot!(
        Cli::command()
            .term_width(100)
            .render_long_help()
            .to_string()
    );
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(help("run"));
}

#[test]
fn help_of_plan() {
    insta::assert_snapshot!(help("plan"));
}

#[test]
fn help_of_init() {
    insta::assert_snapshot!(help("init"));
}

#[test]
fn help_of_schema() {
    insta::assert_snapshot!(help("schema"));
}

#[test]
fn help_of_apply() {
    insta::assert_snapshot!(help("apply"));
}

#[test]
fn help_of_demo() {
    insta::assert_snapshot!(help("demo"));
}

#[test]
fn help_of_emulator() {
    insta::assert_snapshot!(help("emulator"));
}

#[test]
fn every_example_in_the_help_parses() {
    let texts = [
        text::MILLPOND,
        text::RUN,
        text::PLAN,
        text::INIT,
        text::APPLY,
        text::DEMO,
        text::EMULATOR,
        text::SCHEMA,
    ];
    let mut checked = 0;
    for line in texts.iter().flat_map(|t| t.lines()) {
        let Some(start) = line.find("millpond ").filter(|_| line.starts_with("  ")) else {
            continue;
        };
        // Two blanks begin the remark, a bar or an angle the rest of the shell line.
        let rest = line.get(start..).unwrap();
        let command = rest
            .split(&['|', '>'][..])
            .next()
            .unwrap()
            .split("  ")
            .next()
            .unwrap();
        let words = command.split_whitespace().map(|w| w.trim_matches('\''));
        Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{command}: {e}"));
        checked += 1;
    }
    assert!(checked >= 18, "{checked} examples found");
}

#[test]
fn wrong_values_say_what_is_expected() {
    assert!(
        refusal("millpond run r.yaml --memory lots")
            .contains("expected a size such as 512MiB or 1GiB")
    );
    assert!(refusal("millpond run r.yaml --slots 0").contains("must be at least 1"));
    assert!(
        refusal("millpond init a.csv --label y --null-threshold 2").contains("between 0 and 1")
    );
    assert!(refusal("millpond emulator --data d --streams 0").contains("0"));
    assert!(refusal("millpond run r.yaml --memroy 1GiB").contains("'--memory'"));
    assert!(refusal("millpond rum r.yaml").contains("'run'"));
}

#[test]
fn the_argument_wins_over_the_environment() {
    let given = |url: Option<&str>| EmulatorAddress {
        url: url.map(str::to_owned),
    };
    let env = Some("localhost:9050".to_owned());
    assert_eq!(
        given(None).or_environment(env.clone()).as_deref(),
        Some("http://localhost:9050")
    );
    assert_eq!(
        given(Some("https://x")).or_environment(env).as_deref(),
        Some("https://x")
    );
    assert_eq!(given(None).or_environment(Some(String::new())), None);
    assert_eq!(given(None).or_environment(None), None);
}

#[test]
fn json_means_no_progress_and_json_errors() {
    let Command::Run(args) = Cli::try_parse_from(["millpond", "run", "r.yaml", "--json"])
        .unwrap()
        .command
    else {
        unreachable!("asked for run");
    };
    assert!(!args.told.wants_progress());
    assert_eq!(Command::Run(args).format(), Format::Json);
}
