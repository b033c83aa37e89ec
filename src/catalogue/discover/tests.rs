use super::*;

fn table(name: &str, columns: &[(&str, &str)], key: &str, sample: &str) -> Table {
    let kinds = columns
        .iter()
        .map(|(name, type_name)| Column { name: (*name).to_owned(), kind: ColumnKind::of_type(type_name) });
    Table {
        name: name.to_owned(),
        columns: kinds.collect(),
        key: vec![key.to_owned()],
        references: Vec::new(),
        sample: sample.lines().map(|row| values::columns(row).unwrap()).collect(),
    }
}

#[test]
fn a_shop_of_plain_tables_is_described() {
    let mut product = table(
        "shop_product",
        &[
            ("id", "bigint"),
            ("name", "varchar(200)"),
            ("slug", "varchar"),
            ("description", "text"),
            ("price", "numeric"),
            ("stock", "integer"),
            ("sku", "varchar"),
            ("material", "varchar"),
            ("category_id", "bigint"),
            ("is_active", "boolean"),
            ("created_at", "timestamptz"),
            ("updated_at", "timestamptz"),
        ],
        "id",
        r#"{"id":1,"name":"Mug","description":"<p>A mug.</p>","material":"clay","price":9.90}"#,
    );
    product.references.push(Reference {
        column: "category_id".to_owned(),
        table: "shop_category".to_owned(),
        target: "id".to_owned(),
    });
    let tables = [
        table(
            "shop_category",
            &[("id", "bigint"), ("name", "varchar")],
            "id",
            r#"{"id":1,"name":"Kitchen"}"#,
        ),
        product,
        table("shop_product_image", &[("id", "bigint"), ("title", "varchar")], "id", ""),
        table(
            "faq",
            &[("id", "int"), ("question", "text"), ("answer", "text")],
            "id",
            r#"{"id":1,"question":"Q?","answer":"A."}"#,
        ),
    ];
    let proposals = propose(&tables, '"');
    let blocks: Vec<_> =
        proposals.iter().map(|proposal| proposal.block("postgres", "url = { env = \"U\" }")).collect();
    insta::assert_snapshot!(blocks.join("\n"));
}

#[test]
fn what_is_no_catalogue_is_left_alone() {
    let tables = [
        table("order_line", &[("id", "int"), ("title", "text")], "id", ""),
        table("users", &[("id", "int"), ("name", "text")], "id", ""),
        table("product", &[("id", "int"), ("weight", "int")], "id", ""),
    ];
    assert_eq!(propose(&tables, '"'), []);
}
