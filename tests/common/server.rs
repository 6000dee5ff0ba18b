//! A local HTTP server that answers as a test defines and records its requests.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as the server receives it.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// The number of earlier requests for the same path.
    pub nth: usize,
}

impl Request {
    /// The first byte of the requested range, or 0.
    pub fn start(&self) -> usize {
        let range = self.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |start| start.parse().unwrap())
    }
}

/// A response: status line and headers, sent verbatim, then the body; the connection is closed after it.
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
}

pub fn answer(status: &str, headers: &str, body: &[u8]) -> Answer {
    Answer { head: format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}"), body: body.to_vec() }
}

pub fn whole(body: &[u8]) -> Answer {
    answer("200 OK", &format!("Content-Length: {}\r\n", body.len()), body)
}

/// The content from the requested byte on, as a server that supports ranges sends it.
pub fn rest(request: &Request, content: &[u8]) -> Answer {
    let start = request.start();
    if start == 0 {
        return whole(content);
    }
    let range = format!("Content-Range: bytes {start}-{}/{}\r\n", content.len() - 1, content.len());
    answer("206 Partial Content", &format!("{range}Content-Length: {}\r\n", content.len() - start), &content[start..])
}

/// A running server with the requests that it has received.
pub struct Server {
    pub url: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server that answers each request with `respond`, several clients at a time.
    pub fn new(respond: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = requests.clone();
        let respond = Arc::new(respond);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (respond, seen) = (respond.clone(), seen.clone());
                std::thread::spawn(move || {
                    let Ok(mut stream) = stream else { return };
                    let Some(request) = read(&stream, &seen) else { return };
                    let Answer { head, body } = respond(&request);
                    // The client may have closed the connection.
                    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(&body));
                });
            }
        });
        Self { url, requests }
    }
}

impl Server {
    /// The requested paths, in order.
    pub fn asked(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|request| request.path.clone()).collect()
    }
}

fn read(stream: &TcpStream, seen: &Mutex<Vec<Request>>) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split_whitespace().nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let mut seen = seen.lock().unwrap();
    let nth = seen.iter().filter(|request| request.path == path).count();
    let request = Request { path, headers, body, nth };
    seen.push(request.clone());
    Some(request)
}

/// The answer to a request for a file that does not exist.
pub fn absent() -> Answer {
    answer("404 Not Found", "Content-Length: 0\r\n", b"")
}
