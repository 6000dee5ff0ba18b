//! A local HTTP server whose responses a test defines, and which records its requests.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as the server receives it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// The number of earlier requests for the same path.
    pub earlier: usize,
}

impl Request {
    /// The first byte of the requested range, or 0.
    pub(crate) fn range_start(&self) -> usize {
        let range = self.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |start| start.parse().unwrap())
    }
}

/// A response, which is sent verbatim before the connection is closed.
pub(crate) struct Response {
    /// Status line and headers, each ending in CRLF.
    pub head: String,
    pub body: Vec<u8>,
}

/// A response with a status such as `404 Not Found` and headers, each ending in CRLF.
pub(crate) fn response(status: &str, headers: &str, body: &[u8]) -> Response {
    Response { head: format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}"), body: body.to_vec() }
}

/// 200 with the whole content.
pub(crate) fn ok(body: &[u8]) -> Response {
    response("200 OK", &format!("Content-Length: {}\r\n", body.len()), body)
}

/// The content from the requested byte on: 206, or 200 if the request has no range.
pub(crate) fn ranged(request: &Request, content: &[u8]) -> Response {
    let start = request.range_start();
    if start == 0 {
        return ok(content);
    }
    let range = format!("Content-Range: bytes {start}-{}/{}\r\n", content.len() - 1, content.len());
    response("206 Partial Content", &format!("{range}Content-Length: {}\r\n", content.len() - start), &content[start..])
}

/// 404 without a body.
pub(crate) fn not_found() -> Response {
    response("404 Not Found", "Content-Length: 0\r\n", b"")
}

/// A running server with the requests that it has received.
pub(crate) struct Server {
    pub url: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server that serves several clients at a time and sends what `respond` returns.
    pub(crate) fn new(respond: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let received = requests.clone();
        let respond = Arc::new(respond);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (respond, requests) = (respond.clone(), received.clone());
                std::thread::spawn(move || {
                    let Ok(mut stream) = stream else { return };
                    let Some(request) = read_request(&stream, &requests) else { return };
                    let Response { head, body } = respond(&request);
                    // The client may have closed the connection.
                    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(&body));
                });
            }
        });
        Self { url, requests }
    }

    /// The requested paths, in order.
    pub(crate) fn requested_paths(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|request| request.path.clone()).collect()
    }
}

fn read_request(stream: &TcpStream, requests: &Mutex<Vec<Request>>) -> Option<Request> {
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
    let mut requests = requests.lock().unwrap();
    let earlier = requests.iter().filter(|request| request.path == path).count();
    let request = Request { path, headers, body, earlier };
    requests.push(request.clone());
    Some(request)
}
