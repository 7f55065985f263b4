//! A real authorization server: `oidc-provider`, installed by npm into a throw-away directory and run by Node.js.

use data_encoding::BASE64;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The secret of both clients that have one, with what an encoding may get wrong.
pub const CLIENT_SECRET: &str = "opensesame/ +%";

/// How npm says that there is no network.
const OFFLINE: [&str; 6] = ["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH"];

pub struct Server {
    pub port: u16,
    child: Child,
    _stdout: BufReader<ChildStdout>, // closed, it would kill a server that writes to it
    _dir: tempfile::TempDir,
}

impl Server {
    /// Starts it, or says what this machine lacks. A server that was installed and does not run is a failure.
    /// What it installs is fixed by the lock file's checksums; no script of a package is run.
    pub fn start() -> Result<Self, String> {
        for tool in ["node", "npm"] {
            let ran = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if !ran.is_ok_and(|status| status.success()) {
                return Err(format!("'{tool}' is not on this machine"));
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/paper/oauth");
        for file in ["package.json", "package-lock.json", "server.mjs"] {
            std::fs::copy(from.join(file), dir.path().join(file)).unwrap();
        }
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        if !npm.status.success() {
            let said = String::from_utf8_lossy(&npm.stderr);
            let offline = OFFLINE.iter().find(|code| said.contains(**code));
            // Anything else, a wrong checksum above all, must not pass for a missing network.
            let code = offline.unwrap_or_else(|| panic!("'npm ci' failed: {said}"));
            return Err(format!("npm cannot reach its registry ({code})"));
        }
        let mut child = Command::new("node")
            .arg("server.mjs")
            .current_dir(dir.path())
            .stdin(Stdio::piped()) // the server ends with it, even if this process is killed
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).expect("the server did not start");
        let port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        Ok(Self { port, child, _stdout: stdout, _dir: dir })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A token by the client credentials grant (RFC 6749, 4.4).
    pub fn issue(&self) -> String {
        let pair = BASE64.encode(b"agency:opensesame%2F+%2B%25");
        let form = "grant_type=client_credentials";
        let head = format!(
            "POST /token HTTP/1.1\r\nauthorization: Basic {pair}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n",
            form.len()
        );
        token(&self.ask(&head, form).1)
    }

    /// A token of the client that is named.
    pub fn issue_to(&self, client: &str) -> String {
        token(&self.ask(&format!("GET /issue?client={client} HTTP/1.1\r\n"), "").1)
    }

    /// Whether the platform's API lets the token in: asked over a bare socket, by none of the code under test.
    pub fn lets_in(&self, token: &str) -> bool {
        match self.ask(&format!("GET /api/leads HTTP/1.1\r\nauthorization: Bearer {token}\r\n"), "").0 {
            200 => true,
            401 => false,
            other => panic!("the API answered {other}"),
        }
    }

    fn ask(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{head}host: 127.0.0.1:{}\r\nconnection: close\r\n\r\n{body}", self.port).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn token(body: &str) -> String {
    let answer: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no token: {body}"));
    answer["access_token"].as_str().unwrap().to_owned()
}
