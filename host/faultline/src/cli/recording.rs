//! A journal as a file: JSON Lines, compressed with Zstandard if its name ends in
//! `.zst`.
//!
//! The first line says what the file is; each other line is an envelope, in the
//! order of the journal: where it came from, how it is encoded, when it arrived,
//! its headers, and its body, as text where it is text and as base64 otherwise.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use data_encoding::BASE64;
use faultline_domain::envelope::{Arrival, Format};
use faultline_domain::id::{ScopeName, SourceName};
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What the first line says.
const VERSION: u32 = 1;

/// How hard to compress.
const LEVEL: i32 = 19;

/// The longest line that is written and read: a body of 32 MiB as text, each
/// character of which may take six in JSON, and its headers.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    faultline_recording: u32,
    scope: ScopeName,
}

/// Any other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    received: u64,
    source: SourceName,
    format: Format,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    content_type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Writes envelopes to a file, or to standard output for `-`. The file is there
/// once it is complete: until then it has another name.
pub(crate) struct Writer {
    sink: Sink,
    /// Its name while it is written, and its name; none for standard output.
    names: Option<(PathBuf, PathBuf)>,
}

enum Sink {
    Plain(BufWriter<Box<dyn Write>>),
    Compressed(zstd::Encoder<'static, BufWriter<Box<dyn Write>>>),
}

impl Writer {
    /// Begins a file that is not there yet.
    ///
    /// # Errors
    /// If it is there, or cannot be made.
    pub(crate) fn create(path: &Path, scope: &ScopeName) -> Result<Self> {
        let (out, names): (Box<dyn Write>, _) = if path == Path::new("-") {
            (Box::new(io::stdout()), None)
        } else {
            if path.exists() {
                bail!("{} is there already", path.display());
            }
            let mut partial = path.as_os_str().to_owned();
            partial.push(".part");
            let partial = PathBuf::from(partial);
            let file = File::create(&partial)
                .with_context(|| format!("making the file {}", partial.display()))?;
            (Box::new(file), Some((partial, path.to_owned())))
        };
        let out = BufWriter::new(out);
        let sink = if is_compressed(path) {
            Sink::Compressed(zstd::Encoder::new(out, LEVEL)?)
        } else {
            Sink::Plain(out)
        };
        let mut writer = Self { sink, names };
        writer.line(&Head {
            faultline_recording: VERSION,
            scope: scope.clone(),
        })?;
        Ok(writer)
    }

    /// Writes an envelope.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&mut self, arrival: Arrival) -> Result<()> {
        let (text, base64) = match String::from_utf8(arrival.body) {
            Ok(text) if text.is_empty() => (None, None),
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(BASE64.encode(error.as_bytes()))),
        };
        self.line(&Line {
            received: arrival.received.as_micros(),
            source: arrival.source,
            format: arrival.format,
            content_type: arrival.content_type,
            headers: arrival.headers,
            text,
            base64,
        })
    }

    /// Ends the file, and gives it its name.
    ///
    /// # Errors
    /// If the rest cannot be written.
    pub(crate) fn finish(self) -> Result<()> {
        match self.sink {
            Sink::Plain(mut out) => out.flush()?,
            Sink::Compressed(encoder) => encoder.finish()?.flush()?,
        }
        if let Some((partial, path)) = &self.names {
            fs::rename(partial, path).with_context(|| format!("making {}", path.display()))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &impl Serialize) -> Result<()> {
        let text = serde_json::to_vec(line)?;
        if text.len() as u64 >= LINE_BYTES_MAX {
            bail!("an envelope takes more than the {LINE_BYTES_MAX} bytes of a recording's line");
        }
        let out: &mut dyn Write = match &mut self.sink {
            Sink::Plain(out) => out,
            Sink::Compressed(encoder) => encoder,
        };
        out.write_all(&text)?;
        out.write_all(b"\n")?;
        Ok(())
    }
}

/// Reads envelopes from a file, or from standard input for `-`.
pub(crate) struct Reader {
    lines: Box<dyn BufRead>,
    name: String,
    number: u64,
    scope: ScopeName,
}

impl Reader {
    /// Opens a recording.
    ///
    /// # Errors
    /// If it cannot be opened, or is no recording.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).with_context(|| format!("opening {name}"))?)
        };
        let lines: Box<dyn BufRead> = if is_compressed(path) {
            Box::new(BufReader::new(zstd::Decoder::new(file)?))
        } else {
            Box::new(BufReader::new(file))
        };
        let mut reader = Self {
            lines,
            name,
            number: 0,
            scope: ScopeName::default_scope(),
        };
        let head: Option<Head> = reader
            .line()
            .context("it does not begin as a recording does")?;
        match head {
            Some(head) if head.faultline_recording == VERSION => reader.scope = head.scope,
            Some(head) => bail!(
                "{}: a recording of format {}; this version reads format {VERSION}",
                reader.name,
                head.faultline_recording
            ),
            None => bail!("{}: is empty", reader.name),
        }
        Ok(reader)
    }

    /// The scope whose journal it was.
    pub(crate) const fn scope(&self) -> &ScopeName {
        &self.scope
    }

    /// The next envelope; none at the end.
    ///
    /// # Errors
    /// If a line cannot be read; the message names it.
    pub(crate) fn read(&mut self) -> Result<Option<Arrival>> {
        let Some(line) = self.line::<Line>()? else {
            return Ok(None);
        };
        let body = match (line.text, line.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => BASE64
                .decode(base64.as_bytes())
                .with_context(|| format!("{} line {}: base64", self.name, self.number))?,
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => bail!(
                "{} line {}: has a body as text and as base64",
                self.name,
                self.number
            ),
        };
        Ok(Some(Arrival {
            source: line.source,
            format: line.format,
            content_type: line.content_type,
            headers: line.headers,
            body,
            received: Timestamp::from_micros(line.received),
        }))
    }

    fn line<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>> {
        self.number += 1;
        let mut text = Vec::new();
        let place = || format!("{} line {}", self.name, self.number);
        let mut limited = (&mut self.lines).take(LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut text).with_context(place)?;
        if text.is_empty() {
            return Ok(None);
        }
        if text.pop() != Some(b'\n') {
            bail!("{}: is cut off or too long", place());
        }
        serde_json::from_slice(&text).map(Some).with_context(place)
    }
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(body: &[u8]) -> Arrival {
        Arrival {
            source: SourceName::new("shop").unwrap(),
            format: Format::OtlpLogs,
            content_type: "application/json".to_owned(),
            headers: vec![("ce-id".to_owned(), "7".to_owned())],
            body: body.to_vec(),
            received: Timestamp::from_micros(1_700_000_000_000_000),
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let arrivals = [arrival(b"{}"), arrival(b""), arrival(&[0, 159, 255])];
        for name in ["plain.jsonl", "compressed.jsonl.zst"] {
            let path = folder.path().join(name);
            let mut writer = Writer::create(&path, &ScopeName::default_scope()).unwrap();
            for arrival in &arrivals {
                writer.write(arrival.clone()).unwrap();
            }
            writer.finish().unwrap();
            let mut reader = Reader::open(&path).unwrap();
            let read: Vec<Arrival> = std::iter::from_fn(|| reader.read().unwrap()).collect();
            assert_eq!(read, arrivals);
        }
    }

    #[test]
    fn a_file_is_there_once_it_is_complete_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        let scope = ScopeName::default_scope();
        for _cut_off in 0..2 {
            drop(Writer::create(&path, &scope).unwrap());
            assert!(!path.exists());
        }
        let writer = Writer::create(&path, &scope).unwrap();
        writer.finish().unwrap();
        let error = Writer::create(&path, &scope).map(|_| ()).unwrap_err();
        assert!(format!("{error:#}").contains("r.jsonl"), "{error:#}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_recording_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        let head = "{\"faultline_recording\":1,\"scope\":\"default\"}\n";
        for (text, expected) in [
            ("", "is empty"),
            ("{}\n", "line 1"),
            (
                "{\"faultline_recording\":9,\"scope\":\"default\"}\n",
                "format 9",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = Reader::open(&path).map(|_| ()).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        fs::write(&path, format!("{head}{{\"received\":1}}\n")).unwrap();
        let error = Reader::open(&path).unwrap().read().unwrap_err();
        assert!(format!("{error:#}").contains("line 2"), "{error:#}");
    }
}
