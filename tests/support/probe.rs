//! A Wasm filter of a few bytes, for tests of the harness itself and for a floor in benches: it
//! tells the upstream which configuration it has, and does nothing else except where the
//! constants say.

/// The request header in which it tells `mark(configuration)`.
pub const HEADER: &str = "x-probe";
/// A request with more headers than this makes it trap.
pub const TRAPS_ABOVE_HEADERS: u8 = 30;
/// A configuration of so many bytes is refused by it.
pub const REFUSED_CONFIGURATION: u8 = 3;

/// What it makes of a configuration: one character by its length.
pub fn mark(configuration: &str) -> String {
    char::from(b'0' + (configuration.len() & 31) as u8).to_string()
}

/// The module, for the proxy-wasm ABI 0.2.1.
pub fn module() -> Vec<u8> {
    let types = [
        func_type(0, 0),
        func_type(1, 1),
        func_type(2, 0),
        func_type(2, 1),
        func_type(3, 1),
        func_type(5, 1),
    ];
    let import = [text("env"), text("proxy_add_header_map_value"), vec![0, 5]].concat();
    let functions: [(&str, u8, &[&[u8]]); 6] = [
        ("proxy_abi_version_0_2_1", 0, &[]),
        // All that is handed over lands in the same place, at 64 KiB.
        ("proxy_on_memory_allocate", 1, &[&[CONST, 0x80, 0x80, 0x04]]),
        ("proxy_on_context_create", 2, &[]),
        ("proxy_on_vm_start", 3, &[&[CONST, 1]]),
        (
            "proxy_on_configure",
            3,
            &[
                &[
                    LOCAL_GET,
                    1,
                    CONST,
                    REFUSED_CONFIGURATION,
                    EQ,
                    IF,
                    NO_RESULT,
                    CONST,
                    0,
                    RETURN,
                    END,
                ],
                &[
                    CONST, 0, LOCAL_GET, 1, CONST, 31, AND, CONST, b'0', ADD, STORE_8, 0, MARK_AT,
                ],
                &[CONST, 1],
            ],
        ),
        (
            "proxy_on_request_headers",
            4,
            &[
                &[
                    LOCAL_GET,
                    1,
                    CONST,
                    TRAPS_ABOVE_HEADERS,
                    GT,
                    IF,
                    NO_RESULT,
                    UNREACHABLE,
                    END,
                ],
                &[
                    CONST,
                    0,
                    CONST,
                    NAME_AT,
                    CONST,
                    HEADER.len() as u8,
                    CONST,
                    MARK_AT,
                    CONST,
                    1,
                    CALL,
                    0,
                    DROP,
                ],
                &[CONST, 0],
            ],
        ),
    ];
    let indices: Vec<Vec<u8>> = functions.iter().map(|(_, kind, _)| vec![*kind]).collect();
    // Function 0 is the import.
    let exported = |(i, (name, ..)): (usize, &(&str, u8, &[&[u8]]))| [text(name), vec![0, i as u8 + 1]].concat();
    let mut exports: Vec<Vec<u8>> = functions.iter().enumerate().map(exported).collect();
    exports.push([text("memory"), vec![2, 0]].concat());
    let bodies: Vec<Vec<u8>> = functions.iter().map(|(.., body)| code(&body.concat())).collect();
    let name = [vec![0, CONST, NAME_AT, END], text(HEADER)].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &types),
        section(2, &[import]),
        section(3, &indices),
        section(5, &[vec![0, 17]]),
        section(7, &exports),
        section(10, &bodies),
        section(11, &[name]),
    ]
    .concat()
}

const MARK_AT: u8 = 8;
const NAME_AT: u8 = 16;

// Instructions by their numbers in the WebAssembly specification. Constants stay below 64, where
// a signed LEB128 is the byte itself.
const UNREACHABLE: u8 = 0x00;
const IF: u8 = 0x04;
const NO_RESULT: u8 = 0x40;
const END: u8 = 0x0b;
const RETURN: u8 = 0x0f;
const CALL: u8 = 0x10;
const DROP: u8 = 0x1a;
const LOCAL_GET: u8 = 0x20;
const STORE_8: u8 = 0x3a;
const CONST: u8 = 0x41;
const EQ: u8 = 0x46;
const GT: u8 = 0x4b;
const ADD: u8 = 0x6a;
const AND: u8 = 0x71;

/// So many 32-bit integers in and out.
fn func_type(params: usize, results: usize) -> Vec<u8> {
    [vec![0x60], sized(&vec![0x7f; params]), sized(&vec![0x7f; results])].concat()
}

fn code(instructions: &[u8]) -> Vec<u8> {
    sized(&[&[0], instructions, &[END]].concat())
}

fn section(id: u8, items: &[Vec<u8>]) -> Vec<u8> {
    let body = [leb(items.len()), items.concat()].concat();
    [vec![id], sized(&body)].concat()
}

fn text(text: &str) -> Vec<u8> {
    sized(text.as_bytes())
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [leb(bytes.len()), bytes.to_vec()].concat()
}

fn leb(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}
