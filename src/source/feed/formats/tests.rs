use std::io::Write;

use proptest::prelude::*;

use super::*;

fn dialect(format: Format) -> Dialect {
    Dialect { format, encoding: None, quoting: None, escape: None }
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// The rows as JSON, a fault with its number.
fn read_as(dialect: &Dialect, feed: &[u8], is_whole: bool) -> Result<Vec<String>, String> {
    let mut rows = Vec::new();
    read(dialect, file(feed), is_whole, &mut |row| {
        rows.push(match row.fault {
            None => serde_json::to_string(&row.columns).unwrap(),
            Some(fault) => format!("{}: {fault}", row.number),
        });
        Ok(())
    })?;
    Ok(rows)
}

fn rows(format: Format, feed: impl AsRef<[u8]>) -> Result<Vec<String>, String> {
    read_as(&dialect(format), feed.as_ref(), false)
}

#[test]
fn separated_values_are_read_whatever_separates_them() {
    let expected = [r#"{"id":"1","name":"Mug, \"red\"","price":null}"#];
    for feed in [
        "id,name,price\n1,\"Mug, \"\"red\"\"\",\n",
        "\u{feff}id;name;price\r\n1;\"Mug, \"\"red\"\"\";\r\n",
        "id\tname\tprice\n1\t\"Mug, \"\"red\"\"\"\t\n",
        "id|name|price\n1|Mug, \"red\"|\n",
        "sep=;\nid;name;price\n1;\"Mug, \"\"red\"\"\";\n",
        "sep=\t\r\nid\tname\tprice\r\n1\tMug, \"red\"\t\r\n",
        "\"id\",\"name\",\"price\"\r1,\"Mug, \"\"red\"\"\",\r",
    ] {
        assert_eq!(rows(Format::Csv, feed).unwrap(), expected, "{feed}");
    }
    let commas = "id;title;description (a,b,c)\n1;Mug;x\n2;Pot;y, z\n";
    assert_eq!(
        rows(Format::Csv, commas).unwrap(),
        [
            r#"{"description (a,b,c)":"x","id":"1","title":"Mug"}"#,
            r#"{"description (a,b,c)":"y, z","id":"2","title":"Pot"}"#
        ]
    );
    assert_eq!(rows(Format::Csv, "id,a,a\n1,x,y\n").unwrap(), [r#"{"a":["x","y"],"id":"1"}"#]);
    assert_eq!(rows(Format::Csv, "id\n1\n2\n").unwrap().len(), 2);
}

#[test]
fn quotes_in_tabbed_values_are_inch_marks_unless_they_close() {
    let feed =
        "id\ttitle\td\n1\tA\t\"27 in\n2\tB\tx\n3\tC\t\"55 in\n4\t\"D \"\"d\"\"\"\t27\"\n5\t\"E\ttab\"\t\n";
    let expected = [
        r#"{"d":"\"27 in","id":"1","title":"A"}"#,
        r#"{"d":"x","id":"2","title":"B"}"#,
        r#"{"d":"\"55 in","id":"3","title":"C"}"#,
        r#"{"d":"27\"","id":"4","title":"D \"d\""}"#,
        r#"{"d":null,"id":"5","title":"E\ttab"}"#,
    ];
    for format in [Format::Tsv, Format::Csv, Format::GoogleMerchant] {
        assert_eq!(rows(format, feed).unwrap(), expected);
    }
    let none = Dialect { quoting: Some(Quoting::None), ..dialect(Format::Tsv) };
    assert_eq!(read_as(&none, b"id\td\n1\t\"x\"\n", false).unwrap(), [r#"{"d":"\"x\"","id":"1"}"#]);
}

#[test]
fn quotes_escaped_by_backslashes_are_read_if_the_settings_say_so_and_else_named() {
    let feed = "id,text\n1,\"Says \\\"hello\\\" in red\"\n2,plain\n3,\"two\nlines, \"\"q\"\"\"\n";
    let php = Dialect { escape: Some(Escape::Backslash), ..dialect(Format::Csv) };
    let expected = [
        r#"{"id":"1","text":"Says \"hello\" in red"}"#,
        r#"{"id":"2","text":"plain"}"#,
        r#"{"id":"3","text":"two\nlines, \"q\""}"#,
    ];
    assert_eq!(read_as(&php, feed.as_bytes(), false).unwrap(), expected);
    let read = rows(Format::Csv, feed).unwrap();
    assert!(
        read[0].starts_with("2: there is text after a closing quote") && read[0].contains("escape = "),
        "{read:?}"
    );
    assert_eq!(read[1..], expected[1..]);
    let crlf = rows(Format::Csv, "id,text\r\n1,\"Says \"hi\" now\"\r\n2,plain\r\n3,\"a\" b\r\n").unwrap();
    assert!(
        crlf[0].starts_with("2: there is text") && crlf[1] == expected[1] && crlf[2].starts_with("4: there"),
        "{crlf:?}"
    );
    let swallowed =
        rows(Format::Csv, "id,title,price\n1,\"27 in,9\n2,Pot,8\n3,\"Big, mug\",7\n").unwrap_err();
    assert!(swallowed.starts_with("the quote on line 2 may not be closed"), "{swallowed}");
    let unclosed = rows(Format::Csv, "id,text\n1,\"open\n2,x\n").unwrap_err();
    assert_eq!(unclosed, "the quote on line 2 is never closed");
}

#[test]
fn a_bad_row_is_one_fault_and_the_others_are_read() {
    let good = r#"{"id":"3","name":"Pot"}"#;
    for (format, feed, fault) in [
        (Format::Csv, "id,name\n1\n3,Pot\n", "2: it has 1 values, and the header has 2"),
        (Format::Csv, "id,name\n1,Mug,red\n3,Pot\n", "2: it has 3 values, and the header has 2"),
        (Format::Jsonl, "{\"id\":\"1\",}\n{\"id\":\"3\",\"name\":\"Pot\"}\n", "1: it is not a JSON object"),
        (Format::Jsonl, "[1]x\n{\"id\":\"3\",\"name\":\"Pot\"}\n", "there is text after the end"),
        (
            Format::Json,
            "[{\"id\":1,,\"a\":[}, {\"id\":\"3\",\"name\":\"Pot\"}]",
            "1: it is not a JSON object",
        ),
        (Format::Json, "[{\"id\":\"open},\n {\"id\":\"3\",\"name\":\"Pot\"}]", "1: it is not a JSON object"),
        (
            Format::GoogleMerchant,
            "<rss><item><id>1</id><name>A & B</name></item><item><id>3</id><name>Pot</name></item></rss>",
            "1: it has an & that is not written &amp;",
        ),
        (
            Format::GoogleMerchant,
            "<rss><item><id>1</id><name>A</nome></item><item><id>3</id><name>Pot</name></item></rss>",
            "1: </nome> closes nothing",
        ),
        (
            Format::GoogleMerchant,
            "<rss><item><id>1</id><name>A</name><item><id>3</id><name>Pot</name></item></rss>",
            "1: <item> is not closed",
        ),
    ] {
        match rows(format, feed) {
            Ok(read) => {
                assert!(read[0].starts_with(fault) && read[1] == good && read.len() == 2, "{feed}: {read:?}");
            }
            Err(reason) => assert!(reason.contains(fault), "{feed}: {reason}"),
        }
    }
    // Empty values beyond the header are none.
    assert_eq!(rows(Format::Csv, "id,name\n3,Pot,,\n").unwrap(), [good]);
}

#[test]
fn json_keeps_its_types_and_digits_in_lines_and_in_an_array() {
    let expected =
        [r#"{"id":1,"price":89.00,"tags":["a"]}"#, r#"{"id":12345678901234567890123,"price":1e2}"#];
    let lines = "{\"id\": 1, \"price\": 89.00, \"tags\": [\"a\"]}\n\n{\"id\": 12345678901234567890123, \"price\":1e2}";
    let array = format!("[\n{}\n]\n", lines.replace("\n\n", ",\n"));
    for format in [Format::Json, Format::Jsonl] {
        assert_eq!(rows(format, lines).unwrap(), expected);
        assert_eq!(rows(format, &array).unwrap(), expected);
        assert!(rows(format, "[]").unwrap().is_empty());
    }
}

#[test]
fn merchant_items_are_read_from_rss_and_atom_and_the_elements_of_google_win() {
    let rss = br#"<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
        <item><g:id>1</g:id><title><![CDATA[Mug & more]]></title><g:price>9.90 EUR</g:price>
        <g:image_link>a</g:image_link><g:image_link>b</g:image_link><description>For &lt;tea&gt; &#38; caf&#xe9;</description>
        <g:shipping><g:country>DE</g:country></g:shipping><g:brand/></item></channel></rss>"#;
    assert_eq!(
        rows(Format::GoogleMerchant, rss).unwrap(),
        [
            r#"{"brand":null,"description":"For <tea> & café","id":"1","image_link":["a","b"],"price":"9.90 EUR","shipping":{"country":"DE"},"title":"Mug & more"}"#
        ]
    );
    let atom = br#"<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>tag:2</id><link href="https://s/?a=1&amp;b=2"/></entry></feed>"#;
    assert_eq!(
        rows(Format::GoogleMerchant, atom).unwrap(),
        [r#"{"id":"tag:2","link":"https://s/?a=1&b=2"}"#]
    );
    for (feed, expected) in [
        ("<rss><item><title>Mug</title><g:title>Mug, red</g:title></item></rss>", r#"{"title":"Mug, red"}"#),
        ("<rss><item><g:title>Mug, red</g:title><title>Mug</title></item></rss>", r#"{"title":"Mug, red"}"#),
        ("<feed><entry><id>tag:1</id><g:id>7</g:id></entry></feed>", r#"{"id":"7"}"#),
        ("<rss><item><title>Mug</title><g:title/></item></rss>", r#"{"title":"Mug"}"#),
        ("<rss><item><g:title/><title>Mug</title></item></rss>", r#"{"title":"Mug"}"#),
        (
            "<?xml version='1.0' encoding='utf-16'?><rss><item><title>M\u{fc}g</title></item></rss>",
            r#"{"title":"Müg"}"#,
        ),
        ("<rss><item><dc:title>x</dc:title><title>Mug</title></item></rss>", r#"{"title":"Mug"}"#),
        (
            "<rss xmlns:ns0=\"http://base.google.com/ns/1.0\"><item><title>Mug</title><ns0:title>Red</ns0:title></item></rss>",
            r#"{"title":"Red"}"#,
        ),
    ] {
        assert_eq!(rows(Format::GoogleMerchant, feed).unwrap(), [expected], "{feed}");
    }
}

#[test]
fn other_encodings_are_read_if_the_feed_or_the_settings_name_them() {
    let expected = [r#"{"id":"1","name":"Für Tee"}"#];
    let text = "id,name\n1,Für Tee\n";
    let latin: Vec<u8> = encoding_rs::WINDOWS_1252.encode(text).0.into_owned();
    let wide = |mark: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("{mark}{text}").encode_utf16().flat_map(bytes).collect()
    };
    let stated = Dialect { encoding: Encoding::for_label(b"latin1"), ..dialect(Format::Csv) };
    assert_eq!(read_as(&stated, &latin, false).unwrap(), expected);
    for feed in [
        wide("\u{feff}", u16::to_le_bytes),
        wide("\u{feff}", u16::to_be_bytes),
        wide("", u16::to_le_bytes),
        text.as_bytes().to_vec(),
    ] {
        assert_eq!(rows(Format::Csv, feed).unwrap(), expected);
    }
    let xml = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><rss><item><id>1</id><name>Für Tee</name></item></rss>";
    assert_eq!(rows(Format::GoogleMerchant, encoding_rs::WINDOWS_1252.encode(xml).0).unwrap(), expected);
    let error = rows(Format::Csv, &latin).unwrap_err();
    assert!(
        error.contains("byte 12 (line 2) is 0xfc") && error.contains("encoding = \"windows-1252\""),
        "{error}"
    );
    // A character on the border of two parts.
    let long = format!("id,name\n{}", "1,äöü€😀\n".repeat(20_000));
    assert_eq!(rows(Format::Csv, &long).unwrap().len(), 20_000);
}

#[test]
fn packed_feeds_are_unpacked() {
    let feed = "id,name\n1,Mug";
    let expected = [r#"{"id":"1","name":"Mug"}"#];
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(feed.as_bytes()).unwrap();
    assert_eq!(rows(Format::Csv, packed.finish().unwrap()).unwrap(), expected);
    let zip = |names: &[&str]| {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for name in names {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(feed.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    };
    assert_eq!(
        rows(Format::Csv, zip(&["export/products.csv", "__MACOSX/._products.csv"])).unwrap(),
        expected
    );
    let two = rows(Format::Csv, zip(&["a.csv", "b.csv"])).unwrap_err();
    assert_eq!(two, "the zip file has 2 files, and a feed is one: a.csv, b.csv");
}

#[test]
fn a_feed_that_was_cut_anywhere_is_noticed() {
    let csv = b"id,name\n1,Mug\n2,\"A kettle\nof steel\"\n";
    let jsonl = b"{\"id\":1}\n{\"id\":2,\"name\":\"Kettle\"}\n";
    let array = b"[{\"id\":1},{\"id\":2}] ";
    let xml = b"<rss><channel><item><id>1</id></item><item><id>2</id></item></channel></rss>";
    let tsv = b"id\tname\n1\tMug\n2\tA kettle\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(jsonl).unwrap();
    let packed = packed.finish().unwrap();
    for (format, feed) in [
        (Format::Csv, csv.as_slice()),
        (Format::Tsv, tsv),
        (Format::Jsonl, jsonl),
        (Format::Json, array),
        (Format::GoogleMerchant, xml),
        (Format::Jsonl, &packed),
    ] {
        assert_eq!(rows(format, feed).unwrap().len(), 2);
        for end in 1..feed.len() - 1 {
            // At the end of a line nobody can tell; a short feed is held by the guard against mass deletes.
            let is_line = feed[end - 1] == b'\n' || format == Format::Jsonl && feed[end - 1] == b'}';
            let is_whole = is_line && !feed.starts_with(&[0x1f]);
            let cut = rows(format, &feed[..end]);
            assert!(is_whole || cut.is_err(), "{format:?} cut at {end}: {cut:?}");
        }
    }
    assert_eq!(read_as(&dialect(Format::Csv), b"id,name\n1,Mug", true).unwrap().len(), 1);
    assert_eq!(read_as(&dialect(Format::Tsv), b"id\tname\n1\tMug", true).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn no_bytes_break_a_reader(
        feed in proptest::collection::vec(proptest::sample::select(
            vec!["\"", "\\", ",", ";", "\t", "\n", "\r", "{", "}", "[", "]", ":", "<", ">", "/", "&", "item", "id", "1", "é", " "]
        ), 0..60),
        whole in any::<bool>(),
    ) {
        let feed = feed.concat();
        for format in [Format::Csv, Format::Tsv, Format::Json, Format::Jsonl, Format::GoogleMerchant] {
            for quoting in [None, Some(Quoting::Auto), Some(Quoting::None), Some(Quoting::Rfc4180)] {
                let _ = read_as(&Dialect { quoting, ..dialect(format) }, feed.as_bytes(), whole);
            }
        }
    }
}

#[test]
fn the_key_of_an_object_that_is_broken_is_that_of_the_object_itself() {
    let line = "{\"variants\":[{\"sku\":\"x\",\"id\":9}],\"id\":1,\"text\":\"a \"b\"\"}\n";
    let mut keys = Vec::new();
    read(&dialect(Format::Jsonl), file(line.as_bytes()), true, &mut |row| {
        keys.push(row.columns["id"].get().to_owned());
        Ok(())
    })
    .unwrap();
    assert_eq!(keys, ["1"]);
}

/// What fuzzing found to be new, for the readers of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let path = format!("{}/fuzz/corpus/{target}.zip", env!("CARGO_MANIFEST_DIR"));
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let inputs = (0..archive.len()).filter_map(|place| {
        let mut entry = archive.by_index(place).unwrap();
        let mut input = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut input).unwrap();
        entry.is_file().then_some(input)
    });
    inputs.collect()
}

#[test]
fn every_feed_that_fuzzing_kept_is_read_or_refused_with_a_reason() {
    for (target, formats) in [
        ("csv", [Format::Csv, Format::Tsv].as_slice()),
        ("json", &[Format::Json, Format::Jsonl]),
        ("xml", &[Format::GoogleMerchant]),
    ] {
        let inputs = corpus(target);
        assert!(inputs.len() > 100, "{target}");
        let mut read = 0;
        for input in &inputs {
            for format in formats {
                match rows(*format, input) {
                    Ok(_) => read += 1,
                    Err(reason) => assert!(!reason.is_empty(), "{target}: {input:?}"),
                }
            }
        }
        assert!(read > 10, "{target}: {read} were read");
    }
    for input in corpus("html") {
        let text = crate::catalogue::html::text(&String::from_utf8_lossy(&input));
        assert!(text.len() <= 4 * input.len() + 16, "{input:?}");
    }
}
