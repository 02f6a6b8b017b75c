use super::*;
use proptest::prelude::*;
use protocol::message::ErrorCode;

const TOLD: Told<'static> = Told { server: "2", seconds: 0.123_456_78 };

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn colors() -> Vec<Vec<Value>> {
    vec![vec![text("White"), text("#FFFFFF")], vec![text("Silver"), text("#C0C0C0")]]
}

fn style(format: Format, width: Option<usize>) -> Style {
    Style { format, look: Look { width, utf8: false } }
}

/// What is printed for these rows.
fn rendered(style: &Style, titles: &[&str], rows: Vec<Vec<Value>>) -> String {
    let mut out = Vec::new();
    let mut render = style.begin("SELECT", Some(RequestId { client: 1, sequence: 2 }));
    render.columns(&mut out, titles.iter().map(|title| (*title).to_owned()).collect()).unwrap();
    rows.into_iter().for_each(|row| render.row(&mut out, row).unwrap());
    render.end(&mut out, TOLD).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table() {
    let rows = vec![vec![text("White"), Value::Integer(1)], vec![text("Silver"), Value::Null]];
    let expected = "\
+--------+------+
| Name   | Rank |
+===============+
| White  |    1 |
| Silver | NULL |
+--------+------+
";
    assert_eq!(rendered(&style(Format::Table, Some(80)), &["Name", "Rank"], rows.clone()), expected);
    let utf8 = Style { format: Format::Table, look: Look { width: None, utf8: true } };
    assert!(rendered(&utf8, &["Name", "Rank"], rows).starts_with("┌────────┬──────┐\n│ Name   ┆ Rank │\n"));
}

#[test]
fn a_table_wraps_what_is_wider_than_the_terminal() {
    let rows = vec![vec![text("White"), text("a colour that reflects all of the light that falls on it")]];
    let printed = rendered(&style(Format::Table, Some(30)), &["Name", "What"], rows);
    assert!(printed.lines().all(|line| line.len() <= 30), "{printed}");
    assert!(printed.contains("| White |"), "{printed}");
}

#[test]
fn a_table_that_would_never_fit_becomes_blocks() {
    let titles: Vec<String> = (0..40).map(|n| format!("column_{n}")).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let printed = rendered(&style(Format::Table, Some(80)), &titles, vec![vec![Value::Integer(7); 40]; 2]);
    assert!(printed.starts_with("column_0: 7\ncolumn_1: 7\n") && printed.contains("\n\ncolumn_0: 7\n"), "{printed}");
}

#[test]
fn a_long_answer_is_one_table_although_it_is_drawn_in_parts() {
    let rows = (0..2 * table::HELD_ROWS as i64 + 5).map(|n| vec![Value::Integer(5_000 + n)]).collect();
    let printed = rendered(&style(Format::Table, None), &["n"], rows);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 2 * table::HELD_ROWS + 5 + 4);
    let inner = &lines[3..lines.len() - 1];
    for (n, line) in inner.iter().enumerate() {
        assert_eq!(*line, format!("| {} |", 5_000 + n));
    }
    assert_eq!(lines[0], *lines.last().unwrap());
}

#[test]
fn later_rows_that_are_wider_begin_a_wider_table_where_there_is_room() {
    let mut rows = vec![vec![text("x")]; table::HELD_ROWS];
    rows.push(vec![text("a much longer value")]);
    let printed = rendered(&style(Format::Table, None), &["name"], rows.clone());
    let end: Vec<&str> = printed.lines().skip(table::HELD_ROWS + 3).collect();
    let wide = "+---------------------+";
    assert_eq!(end[..3], ["+------+", wide, "| name                |"]);
    assert_eq!(end[4..], ["| a much longer value |", wide]);
    let narrow = rendered(&style(Format::Table, Some(8)), &["name"], rows);
    assert!(narrow.lines().all(|line| line.len() == 8), "wrapped where there is none: {narrow}");
}

#[test]
fn blocks_are_those_of_the_course() {
    let printed = rendered(&style(Format::Blocks, None), &["Name", "HEX"], colors());
    assert_eq!(printed, "Name: White\nHEX: #FFFFFF\n\nName: Silver\nHEX: #C0C0C0\n");
}

#[test]
fn no_rows_is_no_output() {
    for format in [Format::Table, Format::Blocks] {
        assert_eq!(rendered(&style(format, Some(80)), &["Name"], vec![]), "No output\n");
        let changed = |rows| {
            let (mut out, mut render) = (Vec::new(), style(format, None).begin("INSERT", None));
            render.changed(&mut out, rows).unwrap();
            render.end(&mut out, TOLD).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(changed(0), "No output\n");
        assert_eq!(changed(1), "No output (1 row changed)\n");
        assert_eq!(changed(30), "No output (30 rows changed)\n");
    }
    assert_eq!(rendered(&style(Format::Csv, None), &["Name"], vec![]), "Name\r\n");
}

#[test]
fn json_is_one_object_a_line() {
    let rows = vec![vec![Value::Integer(1), Value::Null], vec![Value::Real(0.5), Value::Bytes(vec![0, 255])]];
    assert_eq!(
        rendered(&style(Format::Json, None), &["a", "b"], rows),
        "{\"request\":\"SELECT\",\"id\":\"0000000000000001-0000000000000002\",\"columns\":[\"a\",\"b\"],\
         \"rows\":[[1,null],[0.5,{\"hex\":\"00ff\"}]],\"server\":\"2\",\"seconds\":0.123457}\n"
    );
}

#[test]
fn json_of_a_change_a_file_and_an_error() {
    let json = style(Format::Json, None);
    let printed = |act: &dyn Fn(&mut dyn Render, &mut Vec<u8>)| {
        let (mut out, mut render) = (Vec::new(), json.begin("x \"y\"\n", None));
        act(&mut *render, &mut out);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice::<serde_json::Value>(&out).unwrap()
    };
    let changed = printed(&|render, out| {
        render.changed(out, 3).unwrap();
        render.end(out, TOLD).unwrap();
    });
    assert_eq!((&changed["changed"], &changed["request"]), (&3.into(), &"x \"y\"\n".into()));
    let file = printed(&|render, out| {
        let how = crate::received::Naming::New;
        let arrived = Arrived { path: "r/a".into(), name: "a".into(), size: 3, sha256: "00".into(), how };
        render.file(out, &arrived).unwrap();
        render.end(out, TOLD).unwrap();
    });
    assert_eq!((&file["file"], &file["path"], &file["size"]), (&"a".into(), &"r/a".into(), &3.into()));
    let failure = Failure::definite(ErrorCode::NotFound, "File a not found in server!");
    let error = printed(&|render, out| render.failed(out, &failure, TOLD).unwrap());
    assert_eq!((&error["error"]["code"], &error["error"]["definite"]), (&"not-found".into(), &true.into()));
    let broken_off = printed(&|render, out| {
        render.columns(out, vec!["a".into()]).unwrap();
        render.row(out, vec![Value::Null]).unwrap();
        render.failed(out, &failure, TOLD).unwrap();
    });
    assert_eq!(broken_off["rows"], serde_json::json!([[null]]));
    assert!(broken_off["error"].is_object());
}

#[test]
fn csv_quotes_what_needs_it() {
    let rows =
        vec![vec![text("a,b"), text("say \"hi\""), text("two\nlines")], vec![text(""), Value::Null, Value::Real(1.0)]];
    assert_eq!(
        rendered(&style(Format::Csv, None), &["x", "y,z", ""], rows),
        "x,\"y,z\",\"\"\r\n\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n\"\",,1.0\r\n"
    );
    assert_eq!(rendered(&style(Format::Csv, None), &["x"], vec![vec![Value::Null]]), "x\r\n\"\"\r\n");
}

#[test]
fn a_failure_in_the_middle_closes_the_table() {
    let (mut out, mut render) = (Vec::new(), style(Format::Table, None).begin("SELECT", None));
    render.columns(&mut out, vec!["a".into()]).unwrap();
    render.row(&mut out, vec![Value::Integer(1)]).unwrap();
    render.failed(&mut out, &Failure::indefinite(ErrorCode::UnknownOutcome, "Lost."), TOLD).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "+---+\n| a |\n+===+\n| 1 |\n+---+\n");
}

#[test]
fn a_closed_pipe_is_an_error_and_not_a_panic() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for format in [Format::Table, Format::Blocks, Format::Json, Format::Csv] {
        let mut render = style(format, None).begin("SELECT", None);
        let mut all = || {
            render.columns(&mut Closed, vec!["a".into()])?;
            render.row(&mut Closed, vec![Value::Null])?;
            render.end(&mut Closed, TOLD)
        };
        assert!(all().is_err(), "{format:?}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        any::<String>().prop_map(Value::Text),
        "[\u{0}-\u{9f}日\u{301}\u{200d}\u{202e} ]{0,80}".prop_map(Value::Text),
        any::<Vec<u8>>().prop_map(Value::Bytes),
    ]
}

proptest! {
    #[test]
    fn nothing_that_drives_a_terminal_gets_through(
        rows in proptest::collection::vec(proptest::collection::vec(any_value(), 3), 0..8),
        title in any::<String>(),
        width in 0..120_usize,
        utf8: bool,
    ) {
        for format in [Format::Table, Format::Blocks] {
            for width in [Some(width), None] {
                let printed = rendered(&Style { format, look: Look { width, utf8 } }, &[&title, "b", "c"], rows.clone());
                let harmful = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
                prop_assert!(!printed.contains(harmful), "{printed:?}");
            }
        }
    }

    #[test]
    fn json_lines_are_json_whatever_they_hold(rows in proptest::collection::vec(proptest::collection::vec(any_value(), 2), 0..5)) {
        let printed = rendered(&style(Format::Json, None), &["a", "b"], rows.clone());
        prop_assert_eq!(printed.matches('\n').count(), 1);
        let object: serde_json::Value = serde_json::from_str(&printed).unwrap();
        prop_assert_eq!(object["rows"].as_array().map(Vec::len), Some(rows.len()));
    }
}
