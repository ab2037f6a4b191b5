//! Chance that can be had again, and what it does to texts.

use std::env;

/// Where chance begins, unless the environment says otherwise: a test never fails by chance.
const SEED: u64 = 20_261_128;

/// Pieces that mean something to JSON, to nginx, to labels, to terminals or to whoever counts bytes.
const PIECES: &[&str] = &[
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{a0}",
    "\u{feff}",
    "ä",
    "\u{1f600}",
    "ß.example",
    "xn--a",
    ";",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "$",
    "#",
    "${",
    "{{",
    "%}",
    "../",
    "/",
    "//",
    "*.",
    ".",
    "..",
    "-",
    "_",
    ",",
    ":",
    "=",
    "null",
    "[]",
    "{}",
    "[[[[",
    "\"\":",
    "true",
    "0",
    "-1",
    "1e999",
    "65536",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "shop.example",
    "a.example",
    "80",
    "/api",
    "https",
    "grpc",
    "off",
    "both",
    "1y",
    "10m",
    "300s",
    "32k",
    " include-subdomains preload",
    "ignore",
    "10.0.0.0/8",
    "::1",
    "nginx",
];

/// A source of chance, for some turns.
pub struct Chance {
    state: u64,
    left: u64,
}

impl Chance {
    /// Begins a target of so many turns, and tells the seed.
    pub fn begin(name: &str, turns: u64) -> Self {
        let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let state = number("QUAYMASTER_TEST_SEED").unwrap_or(SEED);
        let left = turns * number("QUAYMASTER_TEST_TIMES").unwrap_or(1);
        println!("{name}: {left} turns with QUAYMASTER_TEST_SEED={state}");
        Self { state, left }
    }

    /// True if there is another turn.
    pub fn goes_on(&mut self) -> bool {
        let goes_on = self.left > 0;
        self.left = self.left.saturating_sub(1);
        goes_on
    }

    /// The next number: SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// Some pieces, one after the other.
    pub fn text(&mut self, most: usize) -> String {
        (0..self.below(most + 1))
            .map(|_| *self.pick(PIECES))
            .collect()
    }

    /// Changes a text here and there; now and then a part of it becomes very long.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(40)).min(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => bytes
                    .splice(at..end, self.text(3).into_bytes())
                    .for_each(drop),
                3 => bytes
                    .splice(at..at, self.text(5).into_bytes())
                    .for_each(drop),
                4 => bytes
                    .splice(at..at, [u8::try_from(self.below(256)).unwrap()])
                    .for_each(drop),
                5 => bytes.extend_from_within(at..end),
                _ => {
                    let times = if self.below(50) == 0 {
                        100_000
                    } else {
                        self.below(20)
                    };
                    let long = self.pick(PIECES).repeat(times);
                    bytes.splice(at..at, long.into_bytes()).for_each(drop);
                }
            }
        }
    }
}
