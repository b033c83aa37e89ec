use proptest::prelude::*;
use serde_json::json;

use super::{path::quote, *};

fn parse(filter: &Value) -> Result<Filter> {
    Filter::parse(filter.as_object().unwrap())
}

fn path(filter: &Value) -> String {
    parse(filter).unwrap().path().unwrap()
}

fn error(filter: &Value) -> String {
    parse(filter).unwrap_err().to_string()
}

#[test]
fn plain_values_nested_objects_and_lists_are_containment() {
    for filter in [
        json!({}),
        json!({"brand": "Daybird"}),
        json!({"tags": ["new", "sale"]}),
        json!({"dimensions": {"width": 30, "unit": "cm"}}),
        json!({"note": null, "empty": {}}),
    ] {
        let parsed = parse(&filter).unwrap();
        assert_eq!(&parsed.contained, filter.as_object().unwrap());
        assert_eq!(parsed.path(), None);
        assert_eq!(parsed.is_empty(), filter == json!({}));
    }
}

#[test]
fn each_operator_has_its_path() {
    for (filter, expected) in [
        (
            json!({"price": {"lt": 300, "gte": 10}}),
            r#"exists($."price" ? (@.double() >= 10 && @.double() < 300))"#,
        ),
        (json!({"price": {"gt": -1.5}}), r#"exists($."price" ? (@.double() > -1.5))"#),
        (json!({"size": {"in": ["M", "L"]}}), r#"exists($."size" ? (@ == "M" || @ == "L"))"#),
        (json!({"size": {"in": ["44"]}}), r#"exists($."size" ? (@ == "44" || @ == 44))"#),
        (json!({"size": {"in": ["044"]}}), r#"exists($."size" ? (@ == "044"))"#),
        (json!({"size": {"in": [44]}}), r#"exists($."size" ? (@ == 44 || @.double() == 44))"#),
        (json!({"new": {"in": [true]}}), r#"exists($."new" ? (@ == true || @ == "true"))"#),
        (json!({"colour": {"not": "red"}}), r#"!exists($."colour" ? (@ == "red"))"#),
        (json!({"colour": {"not": ["red", "blue"]}}), r#"!exists($."colour" ? (@ == "red" || @ == "blue"))"#),
        (json!({"discount": {"exists": true}}), r#"exists($."discount" ? (@ != null))"#),
        (json!({"discount": {"exists": false}}), r#"!exists($."discount" ? (@ != null))"#),
    ] {
        assert_eq!(path(&filter), expected);
    }
}

#[test]
fn conditions_of_all_fields_are_joined_and_a_filter_can_be_narrowed() {
    let filter =
        parse(&json!({"brand": "Daybird", "price": {"lt": 9, "not": 5}, "size": {"in": ["M"]}})).unwrap();
    assert_eq!(Value::Object(filter.contained.clone()), json!({"brand": "Daybird"}));
    let path = r#"exists($."price" ? (@.double() < 9)) && !exists($."price" ? (@ == 5 || @.double() == 5)) && exists($."size" ? (@ == "M"))"#;
    assert_eq!(filter.path().as_deref(), Some(path));
    let more = Condition::Exists(true);
    let narrowed = filter.path_with([("stock", &more)]).unwrap();
    assert_eq!(narrowed, format!(r#"{path} && exists($."stock" ? (@ != null))"#));
}

#[test]
fn conditions_made_without_operands_have_a_valid_path() {
    let any_number = Condition::Range(Range::default());
    assert_eq!(any_number.predicate("a"), r#"exists($."a" ? (@.double() <= 0 || @.double() > 0))"#);
    assert_eq!(Condition::In(Vec::new()).predicate("a"), r#"exists($."a" ? (1 == 0))"#);
    assert!(any_number.matches(Some(&json!("5"))) && !any_number.matches(Some(&json!("x"))));
}

#[test]
fn numbers_are_written_without_an_exponent() {
    assert!(path(&json!({"a": {"lt": 1e21}})).contains("< 1000000000000000000000)"));
    assert!(path(&json!({"a": {"gt": 1e-7}})).contains("> 0.0000001)"));
    assert!(path(&json!({"a": {"lte": u64::MAX}})).contains("<= 18446744073709551615)"));
    assert!(path(&json!({"a": {"in": ["1e5"]}})).contains(r#"(@ == "1e5")"#));
}

#[test]
fn names_and_texts_are_quoted() {
    let hostile = "a\"b\\c\n\u{7f}ü😀 ' $.x == 1) || (1 == 1";
    let quoted = r#""a\"b\\c\u000a\u007fü😀 ' $.x == 1) || (1 == 1""#;
    assert_eq!(quote(hostile), quoted);
    let filter = json!({hostile: {"in": [hostile]}});
    assert_eq!(path(&filter), format!("exists($.{quoted} ? (@ == {quoted}))"));
}

#[test]
fn a_wrong_filter_is_refused_with_field_operator_and_value() {
    for (filter, expected) in [
        (
            json!({"price": {"lt": 3, "currency": "EUR"}}),
            "filter: \"price\" has the operator \"lt\" beside \"currency\", which is not an operator (lt, lte, gt, \
             gte, in, not, exists); use only operators, or none",
        ),
        (json!({"price": {"lt": "300"}}), "filter: \"price\": \"lt\" takes a number, not \"300\""),
        (json!({"price": {"gte": null}}), "filter: \"price\": \"gte\" takes a number, not null"),
        (
            json!({"price": {"gt": 1, "gte": 1}}),
            "filter: \"price\" has both \"gt\" and \"gte\"; use one of them",
        ),
        (
            json!({"size": {"in": []}}),
            "filter: \"size\": \"in\" takes a list of texts, numbers or booleans that is not empty, not []",
        ),
        (
            json!({"size": {"in": "M"}}),
            "filter: \"size\": \"in\" takes a list of texts, numbers or booleans that is not empty, not \"M\"",
        ),
        (
            json!({"size": {"not": {"gt": 5}}}),
            "filter: \"size\": \"not\" takes a text, a number, a boolean or a list of these that is not empty, not \
             {\"gt\":5}",
        ),
        (
            json!({"size": {"not": [null]}}),
            "filter: \"size\": \"not\" takes a text, a number, a boolean or a list of these that is not empty, not \
             [null]",
        ),
        (json!({"a": {"exists": "yes"}}), "filter: \"a\": \"exists\" takes true or false, not \"yes\""),
        (
            json!({"a": {"$lt": 1}}),
            "filter: \"a\": \"$lt\" is not an operator; the operators are lt, lte, gt, gte, in, not, exists",
        ),
        (
            json!({"a": {"lt": 1, "ne": 2}}),
            "filter: \"a\": \"ne\" is not an operator; the operators are lt, lte, gt, gte, in, not, exists",
        ),
        (
            json!({"a": {"width": {"lt": 1}}}),
            "filter: \"a\" has the operator \"lt\" in a nested object; conditions are for top-level fields",
        ),
        (
            json!({"a": {"in": ["x\0y"]}}),
            "filter: \"a\" has the character U+0000, which PostgreSQL does not store",
        ),
        (
            json!({"a\0": "x"}),
            "filter: \"a\u{fffd}\" has the character U+0000, which PostgreSQL does not store",
        ),
    ] {
        assert_eq!(error(&filter), expected);
    }
    assert!(error(&json!({"a": {"in": vec![1; 1001]}})).contains("1001 values; the most is 1000"));
    let long = error(&json!({"a": {"lt": "ö".repeat(500)}}));
    assert!(long.chars().count() < 140 && long.ends_with('…'), "{long}");
}

#[test]
fn a_missing_field_meets_only_a_negation() {
    for (filter, expected) in [
        (json!({"lt": 5}), false),
        (json!({"in": ["a"]}), false),
        (json!({"not": "a"}), true),
        (json!({"exists": true}), false),
        (json!({"exists": false}), true),
    ] {
        let filter = parse(&json!({"field": filter})).unwrap();
        assert_eq!(filter.conditions[0].1.matches(None), expected);
    }
}

#[test]
fn values_match_as_number_text_boolean_and_element() {
    for (operators, matching, other) in [
        (
            json!({"lt": 300}),
            json!([299.99, "299.99", [500, 10]]),
            json!([300, "300", "cheap", null, true, []]),
        ),
        (json!({"in": ["44", "M"]}), json!([44, 44.0, "44", "M", ["L", "M"]]), json!(["m", "044", 45, null])),
        (json!({"in": [44]}), json!([44, "44", "44.0"]), json!(["M", 4, null, true])),
        (json!({"in": [true]}), json!([true, "true"]), json!([false, "yes", 1])),
        (json!({"not": ["red"]}), json!(["blue", null, 5, ["blue"], []]), json!(["red", ["blue", "red"]])),
        (json!({"exists": true}), json!([0, "", false, {}, [1]]), json!([null, [], [null]])),
    ] {
        let filter = parse(&json!({"field": operators})).unwrap();
        let condition = &filter.conditions[0].1;
        for value in matching.as_array().unwrap() {
            assert!(condition.matches(Some(value)), "{operators} {value}");
        }
        for value in other.as_array().unwrap() {
            assert!(!condition.matches(Some(value)), "{operators} {value}");
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![Just("lt"), Just("gte"), Just("in"), Just("not"), Just("exists"), Just("width")];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone().prop_map(str::to_owned), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_parses_is_written_back_and_parses_to_the_same(
        entries in prop::collection::vec((".{0,6}", any_value()), 0..4),
    ) {
        let filter: Map<_, _> = entries.into_iter().collect();
        if let Ok(parsed) = Filter::parse(&filter) {
            prop_assert_eq!(Filter::parse(&parsed.to_json()), Ok(parsed.clone()));
        }
    }

    #[test]
    fn a_quoted_text_reads_back_as_json(text in "\\PC*|[\\x01-\\x7f]*") {
        prop_assert_eq!(serde_json::from_str::<String>(&quote(&text)).unwrap(), text);
    }
}
