//! OpenBao beside it, where `bao` is in PATH: a server of its own with a file audit, one key-value secret a request.
//! Its audit is written and not synced, and nothing is signed or encrypted on the way; it is asked without TLS.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ADDRESS: &str = "http://127.0.0.1:28299";
const SECRETS: usize = 1_000;

/// A server, unsealed, with secrets in it.
pub struct OpenBao {
    child: Child,
    pub token: String,
}

impl OpenBao {
    /// None where there is no `bao` to start.
    pub fn start(dir: &Path) -> Option<Self> {
        Command::new("bao").arg("version").output().ok()?;
        std::fs::create_dir_all(dir.join("data")).expect("made");
        let config = format!(
            "storage \"raft\" {{\n path = \"{0}/data\"\n node_id = \"one\"\n}}\napi_addr = \"{ADDRESS}\"\n\
             cluster_addr = \"http://127.0.0.1:28298\"\n\
             listener \"tcp\" {{\n address = \"127.0.0.1:28299\"\n tls_disable = true\n}}\n\
             audit \"file\" \"log\" {{\n options = {{ file_path = \"{0}/audit.log\" }}\n}}\n",
            dir.display()
        );
        let path = dir.join("config.hcl");
        std::fs::write(&path, config).expect("written");
        let mut server = Command::new("bao");
        server.arg("server").arg(format!("-config={}", path.display())).stdout(Stdio::null()).stderr(Stdio::null());
        let mut bao = Self { child: server.spawn().expect("started"), token: String::new() };
        let init = ["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"];
        let init: serde_json::Value = serde_json::from_str(&bao.until_done(&init)).expect("JSON");
        bao.token = init["root_token"].as_str().expect("a token").to_owned();
        bao.until_done(&["operator", "unseal", init["unseal_keys_b64"][0].as_str().expect("a key")]);
        bao.until_done(&["secrets", "enable", "-version=1", "-path=secret", "kv"]);
        let agent = ureq::Agent::new_with_defaults();
        for number in 0..SECRETS {
            let body = r#"{"login":"login","password":"correct horse battery staple"}"#;
            let put = agent.post(format!("{ADDRESS}/v1/secret/s{number}")).header("X-Vault-Token", &bao.token);
            put.send(body).expect("written");
        }
        Some(bao)
    }

    /// Where it is asked.
    pub fn url(&self) -> &'static str {
        ADDRESS
    }

    /// It takes a while to listen, and to elect itself.
    fn until_done(&self, args: &[&str]) -> String {
        for _ in 0..100 {
            let mut command = Command::new("bao");
            command.args(args).env("BAO_ADDR", ADDRESS).env("BAO_TOKEN", &self.token);
            let out = command.output().expect("run");
            if out.status.success() {
                return String::from_utf8(out.stdout).expect("text");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("bao {} never succeeded", args[0]);
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
