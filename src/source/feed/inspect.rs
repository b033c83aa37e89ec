//! Looks into a feed that nobody has described.

use std::{fs::File, path::Path};

use crate::{
    address::HttpUrl,
    catalogue::{
        CatalogueError, CatalogueResult, Key,
        render::{Rendering, RowsAre},
        values::Columns,
    },
    source::feed::{Dialect, FeedSource, Format, Place, Settings, fetch::Fetched, formats},
};

/// Rows that are looked at.
const SAMPLE: usize = 50;
/// The format of a feed and some of its rows.
pub async fn rows(place: &Place) -> CatalogueResult<(Format, Vec<Columns>)> {
    let dialect = Dialect { format: Format::Csv, encoding: None, quoting: None, escape: None };
    let rendering = Rendering {
        key: Key::new(vec![String::new()]).ok_or_else(|| broken("it has no key".to_owned()))?,
        rows: RowsAre::Single,
        title: String::new(),
        text: String::new(),
        link: None,
        metadata: Vec::new(),
        sku: None,
        group: None,
    };
    let settings = Settings { name: "feed".to_owned(), place: place.clone(), dialect, rendering };
    let source = FeedSource::new(settings, "")?;
    let fetched = match place {
        Place::Path(path) => source.open(path, None)?,
        Place::Url(url) => source.download(url.expose(), None).await?,
        Place::Api(_) => None,
    };
    let Some(Fetched { file, .. }) = fetched else { return Err(broken("it is empty".to_owned())) };
    let looking = tokio::task::spawn_blocking(move || look(&file));
    let found = looking.await.map_err(|error| broken(error.to_string()))?.map_err(broken)?;
    found.ok_or_else(|| {
        broken("it is none of CSV, TSV, JSON, JSON lines and Google Merchant's XML".to_owned())
    })
}

/// Reads bytes as a feed of a format to their end; returns the number of rows, or what is wrong with the feed.
pub fn read_all(format: Format, bytes: &[u8]) -> Result<u64, String> {
    use std::io::Write as _;

    let mut file = tempfile::tempfile().map_err(|error| error.to_string())?;
    file.write_all(bytes).map_err(|error| error.to_string())?;
    let dialect = Dialect { format, encoding: None, quoting: None, escape: None };
    let mut rows = 0;
    formats::read(&dialect, file, true, &mut |_| {
        rows += 1;
        Ok(())
    })?;
    Ok(rows)
}

/// Where a feed is, by what an operator writes.
pub fn place(written: &str) -> Option<Place> {
    if let Ok(url) = written.parse::<HttpUrl>() {
        return Some(Place::Url(url));
    }
    let path = Path::new(written);
    path.is_file().then(|| Place::Path(path.to_owned()))
}

/// Finds out the format by how the feed begins.
fn look(file: &File) -> Result<Option<(Format, Vec<Columns>)>, String> {
    let again = || file.try_clone().map_err(|error| error.to_string());
    let formats: &[Format] = match formats::begins_with(again()?)? {
        Some(b'<') => &[Format::GoogleMerchant],
        Some(b'{' | b'[') => &[Format::Jsonl],
        _ => &[Format::Tsv, Format::Csv],
    };
    for format in formats {
        if let Some(rows) = sample(*format, again()?) {
            return Ok(Some((*format, rows)));
        }
    }
    Ok(None)
}

/// The first rows, if the feed is of this format.
fn sample(format: Format, file: File) -> Option<Vec<Columns>> {
    let dialect = Dialect { format, encoding: None, quoting: None, escape: None };
    let (mut rows, mut faults) = (Vec::new(), 0);
    // An error ends the reading.
    let _ = formats::read(&dialect, file, true, &mut |row| {
        match row.fault {
            None => rows.push(row.columns),
            Some(_) => faults += 1,
        }
        if rows.len() + faults < SAMPLE { Ok(()) } else { Err("enough".to_owned()) }
    });
    // A tabbed file read as commas, or the reverse, has one column.
    let is_read = rows.len() > faults && rows.first().is_some_and(|row| row.len() > 1);
    is_read.then_some(rows)
}

fn broken(reason: String) -> CatalogueError {
    CatalogueError::Broken { source_name: "feed".to_owned(), reason }
}
