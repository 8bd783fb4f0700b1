//! What is wrong with labelled spectra is said with its row or column.

use std::sync::Arc;

use super::*;

#[test]
fn every_fault_names_its_row_or_column() {
    let check = |change: &dyn Fn(&mut Recording, &mut TrainingRequest), expected: &str| {
        let mut recording = generated(6);
        let mut request = request(Task::Classification, "kind");
        change(&mut recording, &mut request);
        let error = train(&recording, &request, &Progress::default()).expect_err(expected);
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let message = format!("{error}: {source}");
        assert!(message.contains(expected), "{message}");
    };
    let set = |recording: &mut Recording, row: usize, column: &str, value: &str| {
        recording.spectra[row].labels.insert(column.into(), value.into());
    };
    check(&|_, request| request.target = "oil".into(), "no label column 'oil'");
    check(&|recording, _| set(recording, 3, "kind", ""), "line 5, column 'kind': the label is empty");
    check(&|recording, _| set(recording, 2, "sample", ""), "line 4, column 'sample': the label is empty");
    check(
        &|recording, _| set(recording, 1, "kind", "other"),
        "line 3: sample 's0' is 'other' here and 'left' in an earlier line",
    );
    check(
        &|recording, request| {
            request.split.group = None;
            recording.spectra[4].id = "s0-1".into();
        },
        "line 6: id 's0-1' was there in line 3: name the column of samples",
    );
    check(
        &|recording, _| recording.spectra[5].intensities = recording.spectra[1].intensities.clone(),
        "line 7, id 's2-1': the same spectrum stands in line 3, as another sample",
    );
    check(&|_, request| request.split.folds = 7, "6 independent samples cannot be split into 7 folds");
    check(
        &|recording, _| {
            (0..12).for_each(|row| set(recording, row, "kind", if row < 2 { "lone" } else { "right" }));
        },
        "class 'lone' has 1 sample(s), every class needs at least 2",
    );
    check(&|recording, _| (0..12).for_each(|row| set(recording, row, "kind", "x")), "holds one class only");
    check(
        &|recording, request| {
            (request.task, request.target) = (Task::Regression, "fraction".into());
            (0..12).for_each(|row| set(recording, row, "fraction", "3"));
        },
        "column 'fraction' holds the same number",
    );
    check(
        &|recording, request| {
            (request.task, request.target) = (Task::Regression, "fraction".into());
            set(recording, 4, "fraction", "many");
        },
        "line 6, column 'fraction': \"many\" is not a finite number",
    );
    let palm = Reference::Labelled { column: "kind".into(), value: "palm".into() };
    check(&|_, request| request.reference = palm.clone(), "no row has 'palm' in column 'kind'");
    check(&|recording, _| recording.spectra[2].intensities.fill(1.0), "line 4, id 's1-0'");
    check(
        &|recording, _| {
            let row = &mut recording.spectra[3];
            row.axis = Arc::new(ShiftAxis::new(row.axis.per_cm()[10..].to_vec()).expect("increasing"));
            row.intensities.drain(..10);
        },
        "line 5, id 's1-1'",
    );
    check(&|_, request| request.preprocessings = preprocessings(900.0, 1200.0, 60), "line 2, id 's0-0'");
}
