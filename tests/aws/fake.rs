//! The fake AWS: one process for all tests of this binary, started by the first that needs it. A test that runs itself again in another
//! process names it there.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The process, which ends when the pipe to its standard input is closed: at the latest when this process ends.
struct Server {
    port: u16,
    /// `None` where the process of another test has it.
    _process: Option<Child>,
}

/// The variable that names the port of a fake that runs already.
pub(crate) const PORT: &str = "FAKE_AWS_PORT";

static SERVER: OnceLock<Server> = OnceLock::new();

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws/fake")
}

/// The Python that has everything that the fake needs.
fn python() -> PathBuf {
    let output = Command::new(folder().join("setup")).stderr(Stdio::inherit()).output().expect("tests/aws/fake/setup can be run");
    assert!(output.status.success(), "the fake AWS cannot be installed, see above; the tests of the live catalog need it");
    PathBuf::from(String::from_utf8(output.stdout).expect("a path in UTF-8").trim_end())
}

fn start() -> Server {
    if let Some(port) = std::env::var(PORT).ok().and_then(|port| port.parse().ok()) {
        return Server { port, _process: None };
    }
    let mut process = Command::new(python())
        .args(["-B".as_ref(), folder().join("server.py").as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A group of its own: ctrl-C at the terminal is for the tests.
        .process_group(0)
        .spawn()
        .expect("the fake AWS can be started");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("it was asked for");
    BufReader::new(stdout).read_line(&mut line).expect("the fake AWS says something");
    let port = line.trim_end().strip_prefix("listening on ").and_then(|port| port.parse().ok());
    Server { port: port.unwrap_or_else(|| panic!("the fake AWS did not start: {line:?}")), _process: Some(process) }
}

/// Where the fake listens.
pub(crate) fn port() -> u16 {
    SERVER.get_or_init(start).port
}

/// An account of the fake: what it is asked and what goes wrong there is nobody else's business.
pub(crate) struct Account {
    /// Its access key, by which the fake tells accounts apart.
    pub(crate) key: String,
}

impl Account {
    /// The account of a test; `name` is unlike that of every other.
    pub(crate) fn new(name: &str) -> Self {
        Self { key: format!("AKID{}", name.to_uppercase()) }
    }

    /// Where the fake is.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", port())
    }

    /// Lets these go wrong from now on; `fake/server.py` says how they are written.
    pub(crate) fn faults(&self, faults: &Value) {
        request("PUT", &format!("/_fake/faults/{}", self.key), &faults.to_string());
    }

    /// Lets Spot prices be so many times what they were at first.
    pub(crate) fn spot_prices_times(&self, factor: u32) {
        request("PUT", &format!("/_fake/spot/{}", self.key), &factor.to_string());
    }

    /// How many instances CreateFleet can still start from each pool; `fake/server.py` says how they are written.
    pub(crate) fn pools(&self, pools: &Value) {
        request("PUT", &format!("/_fake/pools/{}", self.key), &pools.to_string());
    }

    /// Lets SSM have these parameters of AWS, and no others.
    pub(crate) fn parameters(&self, parameters: &Value) {
        request("PUT", &format!("/_fake/parameters/{}", self.key), &parameters.to_string());
    }

    /// Lets EC2 answer these calls so, by the XML within the answer.
    pub(crate) fn answers(&self, answers: &Value) {
        request("PUT", &format!("/_fake/answers/{}", self.key), &answers.to_string());
    }

    /// Lets go of answers that are held.
    pub(crate) fn release(&self) {
        request("PUT", &format!("/_fake/release/{}", self.key), "");
    }

    /// Every call that was made: its name, and the region that it was signed for.
    pub(crate) fn calls(&self) -> Vec<(String, String)> {
        let answer = request("GET", &format!("/_fake/calls/{}", self.key), "");
        serde_json::from_str(&answer).expect("a list of pairs")
    }

    /// How often a call was made in any region.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|(name, _)| name == call).count()
    }
}

/// The body of the fake's answer.
fn request(method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port())).expect("the fake AWS listens");
    write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}
