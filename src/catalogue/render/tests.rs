use super::*;

fn rendering(title: &str, text: &str) -> Rendering {
    Rendering {
        key: Key::new(vec!["id".to_owned()]).unwrap(),
        rows: RowsAre::Single,
        title: title.to_owned(),
        text: text.to_owned(),
        link: None,
        metadata: Vec::new(),
        sku: None,
        group: None,
    }
}

fn render(text: &str, columns: &str) -> Result<Document, RenderFault> {
    let row = Row { key: "1".to_owned(), rows: vec![columns], row_hash: 1 };
    rendering("{{ name }}", text).templates().unwrap().render(row)
}

#[test]
fn decimals_keep_the_digits_that_the_shop_writes() {
    for (template, columns, expected) in [
        (
            "{{ price }} {{ price|float * 2 }} {{ cents / 100 }}",
            r#"{"name":"x","price":89.00,"cents":1250}"#,
            "89.00 178.0 12.5",
        ),
        ("{{ p.list[0] }} {{ p.list[1] }} {{ n }}", r#"{"p":{"list":[89.00,1e2]},"n":-0}"#, "89.00 1e2 -0"),
        ("{{ id }}", r#"{"id":12345678901234567890123}"#, "12345678901234567890123"),
    ] {
        assert_eq!(render(template, columns).unwrap().text, expected);
    }
}

#[test]
fn a_null_and_whatever_is_looked_up_in_it_render_as_nothing() {
    for (template, columns, expected) in [
        ("{{ name }}|{{ colour }}|", r#"{"name":"x","colour":null}"#, "x||"),
        ("x{{ name.de_DE or name.en_US }}", r#"{"name":null}"#, "x"),
        ("{{ name.de_DE or name.en_US }}", r#"{"name":{"en_US":"Mug"}}"#, "Mug"),
        ("{{ name.de_DE or name.en_US }}", r#"{"name":{"de_DE":null,"en_US":"Mug"}}"#, "Mug"),
        ("x{{ images[0].url }}{{ name.a['b'].c }}", r#"{"images":[],"name":null}"#, "x"),
        ("{% for tag in tags %}{{ tag }}{% else %}none{% endfor %}", r#"{"tags":null}"#, "none"),
        (
            "{{ 'yes' if a is none else 'no' }}{{ a|default('-') }}{{ a|upper }}{{ 'b' ~ a }}",
            r#"{"a":null}"#,
            "yes-b",
        ),
    ] {
        assert_eq!(render(template, columns).unwrap().text, expected, "{template}");
    }
}

#[test]
fn a_column_of_any_name_can_be_written() {
    let columns =
        r#"{"Body (HTML)":"<p>F&uuml;r Tee</p><ul><li>A</li></ul>&nbsp;","product-type":"Mug","name":"n"}"#;
    let document =
        render("{{ row[\"Body (HTML)\"]|text }} {{ row['product-type'] }} {{ row.name }}", columns);
    assert_eq!(document.unwrap().text, "Für Tee\n\n- A Mug n");
}

#[test]
fn rows_of_one_key_are_one_document() {
    let rendering = Rendering {
        rows: RowsAre::Group,
        metadata: vec!["price".to_owned()],
        sku: Some("sku".to_owned()),
        ..rendering(
            "{{ title }}",
            "{% for v in variants %}{{ v.size }}: {{ v.price|money('EUR') }}\n{% endfor %}",
        )
    };
    let rows = [
        r#"{"title":null,"size":"S","price":9.5,"sku":"a"}"#,
        r#"{"title":"Shirt","size":"L","price":10,"sku":"b"}"#,
    ];
    let row = Row { key: "1".to_owned(), rows: rows.to_vec(), row_hash: 1 };
    let templates = rendering.templates().unwrap();
    assert!(templates.columns().all);
    let document = templates.render(row).unwrap();
    assert_eq!((&*document.title, &*document.text), ("Shirt", "S: 9.50 EUR\nL: 10.00 EUR"));
    assert_eq!((document.metadata.get(), document.sku.as_deref()), (r#"{"price":9.5}"#, Some("a")));
}

#[test]
fn text_is_not_escaped_for_html() {
    assert_eq!(render("{{ name }}", r#"{"name":"Salt & <Pepper>"}"#).unwrap().text, "Salt & <Pepper>");
}

#[test]
fn the_columns_are_those_that_the_settings_name() {
    let rendering = Rendering {
        link: Some("https://shop.example/{{ slug }}".to_owned()),
        metadata: vec!["price".to_owned()],
        ..rendering(
            "{{ name }}",
            "{% for size in sizes %}{{ size }} {% endfor %}{{ brand.name|upper }} {{ range(3) }} {{ row[\"a b\"] }}",
        )
    };
    let columns = rendering.templates().unwrap().columns();
    let in_templates: Vec<_> = columns.in_templates.iter().map(String::as_str).collect();
    assert_eq!(in_templates, ["a b", "brand", "name", "sizes", "slug"]);
    assert!(columns.has("price") && !columns.has("cost") && !columns.all);
}

#[test]
fn a_row_without_title_and_text_is_a_fault() {
    let fault = render("{{ text }}", r#"{"name":" ","text":""}"#).unwrap_err();
    assert_eq!(fault.reason, "title and text are both empty");
    let fault = render("{{ text }}", "[1]").unwrap_err();
    assert!(fault.reason.starts_with("the row cannot be read: it is not a JSON object"), "{fault}");
}
