use super::tree::Value;
use super::*;

fn faults(text: &str, read: impl Fn(Reader<'_>)) -> Vec<String> {
    let document = parse(text).unwrap();
    let faults = Faults::default();
    read(Reader::new(&document, &faults));
    faults.into_sorted().iter().map(ToString::to_string).collect()
}

#[test]
fn a_scalar_stays_as_it_is_written() {
    let document = parse("id: 012345678901\nratio: 1.10\nyes: true\nquoted: \"a b\"\nblock: |\n  x\n  y\n").unwrap();
    let Value::Map(entries) = &document.value else { panic!("{document:?}") };
    let texts: Vec<_> = entries.iter().map(|entry| entry.value.value.clone()).collect();
    let want = ["012345678901", "1.10", "true", "a b", "x\ny\n"];
    assert_eq!(texts, want.map(|text| Value::Scalar(text.to_owned())));
    assert_eq!(entries[1].place, Place { line: 2, column: 1 });
    assert_eq!(entries[1].value.place, Place { line: 2, column: 8 });
}

#[test]
fn what_is_not_yaml_is_told_with_its_line() {
    for (text, line) in [("a: [1\nb: 2\n", 2), ("a: 1\na: 2\n", 2), ("a: *nothing\n", 1), ("a:\n\t- 1\n", 2)] {
        let fault = parse(text).unwrap_err();
        assert_eq!(fault.place.line, line, "{text:?}: {fault}");
        assert!(!fault.fault.message.contains("line "), "{fault}");
    }
}

#[test]
fn an_alias_stands_for_what_it_names() {
    let document = parse("a: &x 007\nb: *x\n").unwrap();
    let Value::Map(entries) = &document.value else { panic!("{document:?}") };
    assert_eq!(entries[1].value.value, Value::Scalar("007".to_owned()));
    assert_eq!(entries[1].value.place.line, 2);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    let read = |reader: Reader<'_>| drop(reader.fields(&["region", "time_zone"]));
    assert_eq!(
        faults("regoin: x\ntime-zone: y\nregion: z\nzebra: q\n", read),
        [
            "line 1, column 1: regoin: unknown key \"regoin\" (did you mean region?)",
            "line 2, column 1: time-zone: unknown key \"time-zone\" (did you mean time_zone?)",
            "line 4, column 1: zebra: unknown key \"zebra\" (known keys here: region, time_zone)",
        ]
    );
}

#[test]
fn reading_goes_on_after_each_fault() {
    let read = |reader: Reader<'_>| {
        let fields = reader.fields(&["a", "b", "c", "d", "e"]).unwrap();
        assert_eq!(fields.required("a").and_then(|a| a.parsed::<u32>("a whole number")), None);
        assert_eq!(fields.optional("b").and_then(|b| b.texts()), None);
        assert!(fields.optional("c").is_none());
        assert!(fields.required("d").is_none());
        assert_eq!(fields.optional("e").and_then(|e| e.word(&["all", "none"])), None);
    };
    assert_eq!(
        faults("a: many\nb:\n  - x\n  - [y]\nc:\ne: al\n", read),
        [
            "line 1, column 1: a: \"many\" is not a whole number (write a whole number)",
            "line 1, column 1: d: is missing (add d)",
            "line 4, column 5: b[1]: is a list (write a text)",
            "line 5, column 1: c: has no value (write one, or remove the key)",
            "line 6, column 1: e: \"al\" is not known (did you mean all?)",
        ]
    );
}

#[test]
fn a_fault_of_the_meaning_finds_its_place_unless_the_shape_is_wrong() {
    let document = parse("tags:\n  a.b: 1\nlist:\n  - x: 1\n  - x: 2\n").unwrap();
    let faults = Faults::default();
    faults.add(DocumentFault::at(Place::default(), "list[0].x", "shape", "-"));
    let meant = |field: &str| haulier_domain::policy::Fault::new(field, "meaning", "-");
    faults.add_meant(&document, [meant("tags.a.b"), meant("list[1].x"), meant("list[0].x"), meant("list[1].y[3]")]);
    let found: Vec<_> = faults.into_sorted().into_iter().map(|f| (f.place.line, f.fault.field)).collect();
    let want = [(0, "list[0].x"), (2, "tags.a.b"), (5, "list[1].x"), (5, "list[1].y[3]")];
    assert_eq!(found, want.map(|(line, field)| (line, field.to_owned())));
}
