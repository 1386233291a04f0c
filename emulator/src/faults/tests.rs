use super::*;

#[test]
fn a_rule_applies_to_the_first_attempts_of_each_stream() {
    let action = FaultAction::abort(Code::Unavailable, "x");
    let faults = Faults::new(
        FaultScript::new()
            .fault(
                FaultTarget::Stream(1),
                0,
                1,
                FaultAction::Stall(Duration::ZERO),
            )
            .fault(FaultTarget::AnyStream, 3, 2, action.clone()),
    );
    let planned = Some(PlannedFault {
        after_responses: 3,
        action,
    });
    assert_eq!(faults.on_read("a", 0), planned);
    assert_eq!(faults.on_read("a", 0), planned);
    assert_eq!(faults.on_read("a", 0), None);
    assert_ne!(faults.on_read("b", 1), planned);
    assert_eq!(faults.on_read("b", 1), planned);
    assert_eq!(faults.on_create_session(), None);
    assert_eq!(faults.on_split(), None);
    assert_eq!(faults.on_rest("/projects/p"), None);
}

#[test]
fn calls_can_be_let_through_first_and_paths_are_counted_apart() {
    let action = FaultAction::Duplicate;
    let faults = Faults::new(FaultScript::new().fault_later(
        FaultTarget::Rest("/tables/".to_owned()),
        0,
        1,
        2,
        action.clone(),
    ));
    let played: Vec<_> = (0..4).map(|_| faults.on_rest("/tables/a")).collect();
    assert_eq!(played, [None, Some(action.clone()), Some(action), None]);
    assert_eq!(faults.on_rest("/datasets"), None);
    assert_eq!(faults.on_rest("/tables/b"), None);
    assert_eq!(faults.on_rest("/tables/b"), Some(FaultAction::Duplicate));
}

#[test]
fn random_faults_depend_on_the_seed_alone() {
    let play = |seed| {
        let faults = Faults::new(FaultScript::new().random(RandomFaults {
            seed,
            percent: 50,
            attempts: 4,
            within_responses: 5,
        }));
        (0..40)
            .flat_map(|i| (0..6).map(move |_| i))
            .map(|i| faults.on_read(&format!("s{i}"), i))
            .collect::<Vec<_>>()
    };
    let first = play(1);
    assert_eq!(first, play(1));
    assert_ne!(first, play(2));
    let hits = first.iter().flatten().count();
    assert!((40..120).contains(&hits), "{hits} of 160 possible");
    assert!(first.iter().flatten().all(|f| f.after_responses < 5));
}
