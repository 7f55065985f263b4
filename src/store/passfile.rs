//! The file named by `PGPASSFILE`, as PostgreSQL's own programs read it: `host:port:database:user:password` a line, `*`
//! for any, a backslash before `:` and itself.

use super::error::{Result, StoreError};
use postgres::Config;
use postgres::config::Host;
use std::path::Path;
use zeroize::Zeroizing;

/// The password for this address; none where there is no such file, or no line that fits.
pub fn password(config: &Config) -> Result<Option<Zeroizing<String>>> {
    let Some(path) = std::env::var_os("PGPASSFILE") else { return Ok(None) };
    let path = Path::new(&path);
    let unread = |why: &str| StoreError::Address(format!("needs {}, named by PGPASSFILE, which {why}", path.display()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let meta = path.metadata().map_err(|error| unread(&format!("cannot be read: {error}")))?;
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(unread("can be read by others; run 'chmod 600' on it"));
        }
    }
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| unread(&format!("cannot be read: {error}")))?;
    Ok(matching(&text, &asked(config)))
}

/// Host, port, database and user, as the file names them.
fn asked(config: &Config) -> [String; 4] {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(_)) => "localhost".to_owned(),
        None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user().unwrap_or_default().to_owned();
    [host, port, config.get_dbname().unwrap_or(&user).to_owned(), user]
}

fn matching(text: &str, asked: &[String; 4]) -> Option<Zeroizing<String>> {
    text.lines().filter(|line| !line.starts_with('#')).map(fields).find_map(|mut fields| {
        let password = (fields.len() == 5).then(|| fields.pop()).flatten()?;
        let fits = fields.iter().zip(asked).all(|(field, asked)| field.as_str() == "*" || field.as_str() == asked);
        fits.then_some(password)
    })
}

fn fields(line: &str) -> Vec<Zeroizing<String>> {
    // One allocation for each, or a password would leave copies behind while it grows.
    let empty = || Zeroizing::new(String::with_capacity(line.len()));
    let (mut fields, mut last, mut chars) = (Vec::with_capacity(5), empty(), line.chars());
    while let Some(char) = chars.next() {
        match char {
            '\\' => last.extend(chars.next()),
            ':' if fields.len() < 4 => fields.push(std::mem::replace(&mut last, empty())),
            char => last.push(char),
        }
    }
    fields.push(last);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr as _;

    fn found(text: &str, address: &str) -> Option<String> {
        matching(text, &asked(&Config::from_str(address).unwrap())).map(|password| password.to_string())
    }

    /// The first line that fits gives the password; what is escaped is itself; what is torn gives nothing.
    #[test]
    fn the_first_line_that_fits_counts() {
        let file = "# note\nh:5432:v:u:first\n*:*:*:u:a\\:b\\\\c:d\nlocalhost:*:*:w:socket\ntorn:1:2";
        for (address, password) in [
            ("postgres://u@h/v", Some("first")),
            ("postgres://u@h:5433/v", Some("a:b\\c:d")),
            ("postgres://u@h/other", Some("a:b\\c:d")),
            ("host=/tmp user=w", Some("socket")),
            ("postgres://x@h/v", None),
            ("postgres://h/v", None),
        ] {
            assert_eq!(found(file, address).as_deref(), password, "{address}");
        }
    }
}
