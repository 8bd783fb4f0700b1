//! Reading recordings: what is read, and how every fault names its place.

use std::path::PathBuf;

use super::*;

fn read(text: &str) -> Result<Recording, RecordingError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("spectra.csv");
    std::fs::write(&path, text).expect("written");
    Recording::read(&path)
}

#[test]
fn labels_and_shifts_are_told_apart_by_the_header() {
    let recording = read("id,oil,pct,800,802.5\na,olive,0,1,2\nb,palm,5.5,3,-4e1\n").expect("valid");
    assert_eq!(recording.spectra[0].axis.per_cm(), [800.0, 802.5]);
    assert_eq!(recording.label_column("oil").expect("there"), ["olive", "palm"]);
    assert_eq!(recording.number_column("pct").expect("numbers"), [0.0, 5.5]);
    assert_eq!(recording.spectra[1].intensities, [3.0, -40.0]);
}

#[test]
fn every_fault_names_its_place() {
    let cases = [
        ("id,oil,800,802\na,olive,1,\n", "line 2, column '802': \"\" is not a finite number"),
        ("id,oil,800,802\na,olive,1,2\nb,palm,x,2\n", "line 3, column '800': \"x\" is not a finite number"),
        ("id,oil,800,802\na,olive,1,inf\n", "line 2, column '802': \"inf\" is not a finite number"),
        ("id,oil,tilt\na,olive,1\n", "fewer than two columns have a number"),
        ("id,oil,800,804,802\na,olive,1,2,3\n", "column '802' is out of order beside column '804'"),
        ("id,oil,804,800,800.0\na,olive,1,2,3\n", "column '800' is out of order beside column '800.0'"),
        ("id,oil,800,800,802\na,olive,1,2,3\n", "column '800' is there twice"),
        ("id,oil,oil,800,802\na,olive,b,1,2\n", "column 'oil' is there twice"),
        ("id,oil,800,802\n", "there is no spectrum in the file"),
    ];
    for (text, expected) in cases {
        let message = read(text).expect_err(text).to_string();
        assert!(message.contains(expected), "{message}");
    }
    let recording = read("id,oil,800,802\na,olive,1,2\n").expect("valid");
    let message = recording.label_column("country").expect_err("absent").to_string();
    assert!(message.contains("no label column 'country'; there are: oil"), "{message}");
    assert!(recording.number_column("oil").is_err());
}

#[test]
fn shifts_that_descend_are_turned() {
    let recording = read("id,804,800,oil\na,1,2,olive\n").expect("valid");
    assert_eq!(recording.spectra[0].axis.per_cm(), [800.0, 804.0]);
    assert_eq!(recording.spectra[0].intensities, [2.0, 1.0]);
}

fn fixture(name: &str) -> PathBuf {
    crate::root::root().join("tests/fixtures/recording").join(name)
}

/// Between integers of 16 bits and what they stand for, in counts.
const SIXTEEN_BITS_TOLERANCE: f32 = 0.05;

#[test]
fn a_folder_of_every_form_holds_the_same_spectrum() {
    let expected: Vec<Vec<f64>> = std::fs::read_to_string(fixture("expected.csv"))
        .expect("the fixture is part of the repository")
        .lines()
        .map(|line| line.split(',').map(|value| value.parse().expect("a number")).collect())
        .collect();
    let laser = Some(ramand_core::spectrum::Wavelength::from_nm(785.0));
    let source = Source {
        spectra: &fixture(""),
        labels: Some(&fixture("labels.csv")),
        shifts: None,
        abscissa: Abscissa { unit: AbscissaUnit::PerCm, laser },
    };
    let recording = source.read().expect("all can be read");
    // Thirteen files, one of them with three spectra and one with two.
    assert_eq!((recording.files.len(), recording.spectra.len()), (14, 16));
    for row in &recording.spectra {
        let column = match row.id.split_once('#') {
            Some(("several.spc", place)) => 1 + place.parse::<usize>().expect("a number"),
            _ => 1,
        };
        let points = if row.id == "own_x.spc#1" { 30 } else { 41 };
        assert_eq!((row.axis.len(), row.intensities.len()), (points, points), "{}", row.id);
        for ((shift, intensity), expected) in row.axis.per_cm().iter().zip(&row.intensities).zip(&expected) {
            assert!((shift - expected[0]).abs() < 1e-3, "{}: {shift}, not {}", row.id, expected[0]);
            let error = (intensity - expected[column] as f32).abs();
            assert!(error <= SIXTEEN_BITS_TOLERANCE, "{} at {shift}: {intensity}, not {}", row.id, expected[column]);
        }
    }
    assert_eq!(recording.spectra[0].labels["number"], "0");
    let lines: Vec<u64> =
        recording.spectra.iter().filter(|row| row.id.starts_with("several")).map(|row| row.line).collect();
    assert!(lines.len() == 3 && lines.windows(2).all(|pair| pair[0] == pair[1]), "one file is one line of the table");
}

#[test]
fn an_array_has_its_axis_and_its_labels_beside_it() {
    let source = |labels: &'static str, shifts: &'static str| {
        let (spectra, labels, shifts) = (fixture("spectra.npy"), fixture(labels), fixture(shifts));
        Source { spectra: &spectra, labels: Some(&labels), shifts: Some(&shifts), abscissa: Abscissa::PER_CM }.read()
    };
    let recording = source("rows.csv", "shifts.npy").expect("valid");
    assert_eq!(recording.label_column("sample").expect("there"), ["s", "s", "t"]);
    assert_eq!((recording.spectra[2].id.as_str(), recording.spectra[2].axis.len()), ("c", 41));
    let expected = [("labels.csv", "shifts.npy", "has 13 rows"), ("rows.csv", "spectra.npy", "has 123 shifts")];
    for (labels, shifts, expected) in expected {
        let message = source(labels, shifts).expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_table_and_its_folder_must_agree() {
    let check = |table: &str, files: &[(&str, &[u8])], expected: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let spectra = folder.path().join("spectra");
        std::fs::create_dir(&spectra).expect("created");
        for (name, content) in files {
            std::fs::write(spectra.join(name), content).expect("written");
        }
        let labels = folder.path().join("labels.csv");
        std::fs::write(&labels, table).expect("written");
        let source = Source { spectra: &spectra, labels: Some(&labels), shifts: None, abscissa: Abscissa::PER_CM };
        let error = source.read().expect_err(expected);
        let message = ramand_core::failure::chain(&error);
        assert!(message.contains(expected), "{message}");
    };
    let good = std::fs::read(fixture("difdup.jdx")).expect("the fixture is part of the repository");
    let good: (&str, &[u8]) = ("a.jdx", &good);
    check("file,oil\na.jdx,olive\na.jdx,palm\n", &[good], "line 3: 'a.jdx' is there in line 2 already");
    check("file,oil\n../a.jdx,olive\n", &[], "line 2: '../a.jdx' is not the name of a file in the folder");
    check("file,oil\na.jdx,olive\n", &[good, ("b.SPC", b"")], "b.SPC: add one");
    check("file,oil\nb.jdx,olive\n", &[], "b.jdx");
    check("file,oil\na.jdx,olive\n", &[("a.jdx", b"##TITLE= x\n")], "there is no ##END= record");
    check("file,oil\na.jdx,olive\n", &[("a.jdx", b"\x00\x4dabc")], "ends within the header");
    check("file,oil\n", &[], "no spectrum in the file");
    let alone = Source { spectra: &fixture(""), labels: None, shifts: None, abscissa: Abscissa::PER_CM };
    assert!(matches!(alone.read(), Err(RecordingError::Parts { .. })));
}

#[test]
fn damage_to_a_jcamp_file_is_named_with_its_line() {
    let text = std::fs::read_to_string(fixture("difdup.jdx")).expect("the fixture is part of the repository");
    let check = |from: &str, to: &str, expected: &str| {
        assert!(text.contains(from), "{from}");
        let error = jcamp::read(&text.replacen(from, to, 1)).expect_err(expected);
        let message = ramand_core::failure::chain(&error);
        assert!(message.contains(expected), "{message}");
    };
    check("##TITLE", "##LABEL", "does not begin with ##TITLE=");
    check("##END=", "", "no ##END= record");
    check("##END=", "##TITLE= another\n##END=", "a second ##TITLE= record");
    check("NPOINTS= 41", "NPOINTS= 40", "41 points, ##NPOINTS= says 40");
    check("NPOINTS= 41", "NPOINTS= 1e9", "line 12: ##NPOINTS= \"1e9\" is not a number that can be used");
    check("XFACTOR= 1.0", "XFACTOR= x", "line 8: ##XFACTOR= \"x\"");
    check("1/CM", "SECONDS", "line 6: ##XUNITS= \"SECONDS\" is not read");
    check("(X++(Y..Y))", "(X++(R..R))", "line 14: ##XYDATA= \"(X++(R..R))\" is not read");
    check("\n817.5", "\n807.5", "line 16: it begins at 807.5");
    check("817.5A", "817.5B", "line 16: the data cannot be read: the line begins with");
    check("\n852.5", "\n?52.5", "line 18: the data cannot be read: a value is missing");
}

#[test]
fn damage_to_an_spc_file_is_named() {
    let good = std::fs::read(fixture("float.spc")).expect("the fixture is part of the repository");
    let check = |place: usize, bytes: &[u8], expected: &str| {
        let mut damaged = good.clone();
        damaged[place..place + bytes.len()].copy_from_slice(bytes);
        let message = spc::read(&damaged).expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(1, &[0x4d], "version byte 0x4d");
    check(4, &1_u32.to_le_bytes(), "1 points, expected 2");
    check(4, &42_u32.to_le_bytes(), "ends within the Y values");
    check(4, &u32::MAX.to_le_bytes(), "points, expected 2");
    check(8, &f64::NAN.to_le_bytes(), "X of point 0 is not a finite number");
    check(28, &[7], "the unit of X has code 7");
    check(3, &[100], "the exponent 100 of Y");
    check(512 + 32 + 8, &f32::INFINITY.to_le_bytes(), "Y of point 2 is not a finite number");
    check(0, &[64], "0 points, expected 2");
}
