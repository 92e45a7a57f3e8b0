//! Logs: lines of JSON with Karpenter's fields, or text for people where stderr is a terminal.
//!
//! A line is `level` (upper case), `time` (ISO 8601, UTC), `logger`, at debug level `caller`, `message`, `commit`, then the fields of
//! the spans around it from the outermost inwards, then its own. A field whose name has a dot becomes part of an object, as Karpenter
//! writes objects: `info!(NodeClaim.name = name, "launched nodeclaim")` gives `"NodeClaim":{"name":"general-x7k2p"}`. Names with dashes
//! are written as texts: `"instance-type" = kind`.
//!
//! `LOG_LEVEL=debug` shows our own lines alone. Other crates are heard from warnings upwards only: at lower levels HTTP clients and SDKs
//! write requests out, and with them what nobody should read.

use std::fmt::{self, Debug, Write as _};
use std::io::{IsTerminal as _, Write};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry, Scope};
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use super::metrics::Build;
use super::options::LogLevel;

/// What Karpenter's lines name as the logger.
const LOGGER: &str = "controller";
/// The root of our own targets.
const OURS: &str = env!("CARGO_PKG_NAME");

/// From now on events of the whole process are written to stderr.
///
/// # Errors
/// When something else takes the events already.
pub fn init(level: LogLevel, build: &Build) -> Result<(), TryInitError> {
    let wanted = filter_fn(move |metadata| is_wanted(metadata, level));
    if std::io::stderr().is_terminal() {
        let people = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
        Registry::default().with(people.with_filter(wanted)).try_init()
    } else {
        let lines = JsonLines { open: std::io::stderr, now: Timestamp::now, commit: build.commit };
        Registry::default().with(lines.with_filter(wanted)).try_init()
    }
}

fn is_wanted(metadata: &Metadata<'_>, level: LogLevel) -> bool {
    let ours = metadata.target().strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let most = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Info | LogLevel::Debug if !ours => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Spans carry fields for the events within, so those of ours are needed whatever their level.
    (metadata.is_span() && ours) || *metadata.level() <= most
}

/// Writes one object per event to what `open` gives.
struct JsonLines<W, N> {
    open: W,
    now: N,
    commit: &'static str,
}

/// The fields of a span, kept with it.
struct SpanFields(Map<String, Value>);

impl<S, W, O, N> Layer<S> for JsonLines<W, N>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn() -> O + 'static,
    O: Write,
    N: Fn() -> Timestamp + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields.named));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(SpanFields(known)) = extensions.get_mut() {
            let mut fields = Fields { message: None, named: std::mem::take(known) };
            values.record(&mut fields);
            *known = fields.named;
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(SpanFields(known)) = span.extensions().get() {
                known.iter().for_each(|(name, value)| merge(&mut fields.named, name, value.clone()));
            }
        }
        event.record(&mut fields);
        let line = self.line(event.metadata(), fields);
        // Where stderr is gone, there is nobody left to tell.
        let _ = (self.open)().write_all(line.as_bytes());
    }
}

impl<W, N: Fn() -> Timestamp> JsonLines<W, N> {
    /// The object as one line: our own fields first and in their order, those of the event by name.
    fn line(&self, metadata: &Metadata<'_>, fields: Fields) -> String {
        let mut line = format!("{{\"level\":\"{}\",\"time\":\"{:.3}\"", metadata.level(), (self.now)());
        let mut put = |name: &str, value: &Value| {
            // Writing to a string cannot fail.
            let _ = write!(line, ",{}:{value}", Value::from(name));
        };
        put("logger", &LOGGER.into());
        if *metadata.level() >= Level::DEBUG
            && let (Some(file), Some(row)) = (metadata.file(), metadata.line())
        {
            let below = file.split_once("src/").map_or(file, |(_, below)| below);
            put("caller", &format!("{below}:{row}").into());
        }
        put("message", &fields.message.unwrap_or_default().into());
        if !self.commit.is_empty() {
            put("commit", &self.commit.into());
        }
        for (name, value) in &fields.named {
            put(name, value);
        }
        line.push_str("}\n");
        line
    }
}

/// What an event or a span says.
#[derive(Default)]
struct Fields {
    message: Option<String>,
    named: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        // A raw identifier (`r#type`) is written with its mark.
        put_nested(&mut self.named, name.strip_prefix("r#").unwrap_or(name), value);
    }
}

/// `A.b` is `b` within `A`.
fn put_nested(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => merge(fields, name, value),
        Some((outer, inner)) => {
            let mut object = Map::new();
            put_nested(&mut object, inner, value);
            merge(fields, outer, Value::Object(object));
        }
    }
}

/// Objects of one name become one; of other values the later counts.
fn merge(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match (fields.get_mut(name), value) {
        (Some(Value::Object(known)), Value::Object(more)) => {
            more.into_iter().for_each(|(name, value)| merge(known, &name, value));
        }
        (_, value) => {
            fields.insert(name.to_owned(), value);
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.message = Some(text) } else { self.put(field, text.into()) }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" { self.message = Some(value.to_owned()) } else { self.put(field, value.into()) }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, Chain(value).to_string().into());
    }
}

/// An error with what caused it, each cause once.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        f.write_str(&told)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !told.contains(&text) {
                write!(f, ": {text}")?;
            }
            told = text;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panics").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `act` logs.
    fn lines(level: LogLevel, act: impl FnOnce()) -> Vec<String> {
        let page = Page::default();
        let open = page.clone();
        let now = || "2026-07-15T10:00:00.1234567Z".parse().expect("a time");
        let lines = JsonLines { open: move || open.clone(), now, commit: "abc1234" };
        let subscriber = Registry::default().with(lines.with_filter(filter_fn(move |metadata| is_wanted(metadata, level))));
        tracing::subscriber::with_default(subscriber, act);
        let bytes = page.0.lock().expect("no writer panics").clone();
        String::from_utf8(bytes).expect("JSON is UTF-8").lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_has_the_fields_of_karpenter_in_their_order() {
        let written = lines(LogLevel::Info, || {
            tracing::info!(
                NodeClaim.name = "general-x7k2p",
                "instance-type" = "m5.large",
                nodes = 2,
                spot = true,
                "launched nodeclaim"
            );
        });
        assert_eq!(
            written,
            [concat!(
                r#"{"level":"INFO","time":"2026-07-15T10:00:00.123Z","logger":"controller","message":"launched nodeclaim","#,
                r#""commit":"abc1234","NodeClaim":{"name":"general-x7k2p"},"instance-type":"m5.large","nodes":2,"spot":true}"#
            )]
        );
    }

    #[test]
    fn spans_lend_their_fields_to_the_lines_within() {
        let written = lines(LogLevel::Info, || {
            let outer = tracing::info_span!(
                "reconcile",
                controller = "provisioner",
                NodePool.name = "general",
                round = tracing::field::Empty
            );
            outer.record("round", 7);
            let _outer = outer.entered();
            let _inner = tracing::debug_span!("solve", NodePool.weight = 10).entered();
            tracing::error!(controller = "other", "a \"quoted\"\nmessage");
        });
        let line: Value = serde_json::from_str(&written[0]).expect("a line is JSON");
        assert_eq!(line["NodePool"], serde_json::json!({ "name": "general", "weight": 10 }));
        assert_eq!((&line["round"], &line["controller"]), (&7.into(), &"other".into()));
        assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"a \"quoted\"\nmessage".into()));
        assert_eq!(written.len(), 1);
    }

    #[test]
    fn other_crates_are_heard_from_warnings_upwards_only() {
        let speak = || {
            tracing::debug!("ours");
            tracing::debug!(target: "aws_smithy_runtime::client", "a request with its headers");
            tracing::info!(target: "supercargoes", "no crate of ours");
            tracing::warn!(target: "kube_client", "theirs");
        };
        let messages = |level| -> Vec<String> {
            let message =
                |line: &String| serde_json::from_str::<Value>(line).expect("JSON")["message"].as_str().map(str::to_owned);
            lines(level, speak).iter().filter_map(message).collect()
        };
        assert_eq!(messages(LogLevel::Debug), ["ours", "theirs"]);
        assert_eq!(messages(LogLevel::Info), ["theirs"]);
        assert_eq!(messages(LogLevel::Error), Vec::<String>::new());
    }

    #[test]
    fn debug_lines_say_where_they_come_from_and_errors_what_caused_them() {
        let cause = io::Error::other("connection reset");
        let error = Outer(cause);
        let written = lines(LogLevel::Debug, || tracing::debug!(error = &error as &dyn std::error::Error, "tried"));
        let line: Value = serde_json::from_str(&written[0]).expect("a line is JSON");
        assert_eq!(line["error"], "cannot list pods: connection reset");
        assert!(line["caller"].as_str().is_some_and(|caller| caller.starts_with("controllers/operations/logs.rs:")), "{line}");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot list pods")]
    struct Outer(#[source] io::Error);
}
