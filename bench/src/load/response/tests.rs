use super::*;

fn expected(body: &[u8]) -> Exchange {
    Exchange {
        weight: 1,
        request: Vec::new(),
        bodiless: false,
        status: 200,
        length: Some(body.len() as u64),
        content: body[..body.len().min(COMPARED)].into(),
        content_type: None,
    }
}

/// The result of a response that arrives in pieces of `step` bytes.
fn read(response: &[u8], body: &[u8], step: usize) -> Result<Progress, Malformed> {
    let (mut reader, expected) = (Reader::new(), expected(body));
    let mut last = Ok(Progress::More);
    for piece in response.chunks(step) {
        assert_eq!(last, Ok(Progress::More), "the reader was done before the end");
        last = reader.feed(piece, &expected);
    }
    last
}

const RIGHT: Result<Progress, Malformed> = Ok(Progress::Done { close: false, wrong: None });
const WRONG_BODY: Result<Progress, Malformed> = Ok(Progress::Done { close: false, wrong: Some(Fault::Body) });
const LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nx-trailer: 1\r\n\r\n";

#[test]
fn any_cut_of_a_right_response_is_right() {
    for response in [LENGTH, CHUNKED] {
        for step in 1..=response.len() {
            assert_eq!(read(response, b"hello", step), RIGHT, "step {step}");
        }
    }
}

#[test]
fn wrong_content_and_wrong_length_are_body_faults() {
    for response in [LENGTH, CHUNKED] {
        for step in [1, 7, response.len()] {
            for body in [&b"hellO"[..], b"hell", b"hello!", b""] {
                assert_eq!(read(response, body, step), WRONG_BODY);
            }
        }
    }
}

#[test]
fn a_big_body_is_compared_at_its_beginning_and_counted_to_its_end() {
    let body = vec![b'x'; COMPARED + 100];
    let respond = |body: &[u8]| {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    };
    assert_eq!(read(&respond(&body), &body, 4096), RIGHT);
    assert_eq!(read(&respond(&body[1..]), &body, 4096), WRONG_BODY);
    let mut wrong = body.clone();
    wrong[COMPARED - 1] = b'y';
    assert_eq!(read(&respond(&wrong), &body, 4096), WRONG_BODY);
}

#[test]
fn another_status_and_garbage_are_faults() {
    assert_eq!(
        read(b"HTTP/1.1 500 Oops\r\ncontent-length: 5\r\n\r\nhello", b"hello", 99),
        Ok(Progress::Done { close: false, wrong: Some(Fault::Status) })
    );
    assert_eq!(read(b"SSH-2.0-OpenSSH_9.2\r\n", b"hello", 99), Err(Malformed));
    assert_eq!(read(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello!", b"hello", 99), Err(Malformed));
    assert_eq!(read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz", b"", 99), Err(Malformed));
    assert_eq!(
        read(&[b"HTTP/1.1 200 OK\r\nx: ", &vec![b'x'; 20_000][..]].concat(), b"", 20_020),
        Err(Malformed)
    );
}

#[test]
fn close_is_honoured_and_an_early_end_is_none_of_the_faults() {
    let close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(read(close, b"", 99), Ok(Progress::Done { close: true, wrong: None }));
    let mut reader = Reader::new();
    let until_end = b"HTTP/1.0 200 OK\r\n\r\nhello";
    assert_eq!(reader.feed(until_end, &expected(b"hello")), Ok(Progress::More));
    assert_eq!(reader.end(&expected(b"hello")), Progress::Done { close: true, wrong: None });
    assert_eq!(reader.feed(&LENGTH[..30], &expected(b"hello")), Ok(Progress::More));
    assert_eq!(reader.end(&expected(b"hello")), Progress::More);
}

#[test]
fn the_answer_to_head_ends_with_its_head() {
    let expected = Exchange { bodiless: true, ..expected(b"") };
    let (head, body) = LENGTH.split_at(LENGTH.len() - 5);
    assert_eq!(Reader::new().feed(head, &expected), RIGHT);
    assert_eq!(Reader::new().feed(&[head, body].concat(), &expected), Err(Malformed));
}

#[test]
fn an_interim_answer_is_not_the_answer() {
    let early = [&b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"[..], LENGTH]
        .concat();
    for step in 1..=early.len() {
        assert_eq!(read(&early, b"hello", step), RIGHT, "step {step}");
    }
}

#[test]
fn a_connection_header_may_be_a_list() {
    let closes = |value: &str| {
        let response = format!("HTTP/1.1 200 OK\r\nconnection: {value}\r\ncontent-length: 0\r\n\r\n");
        read(response.as_bytes(), b"", 999) == Ok(Progress::Done { close: true, wrong: None })
    };
    assert!(closes("close") && closes("keep-alive, Close") && !closes("keep-alive") && !closes("closed"));
}
