//! When a document is fetched, and by whom.

/// How often unknown keys may cause a fetch, in all VMs together, however many tokens name them.
pub const STRANGER_PAUSE_MS: u64 = 10_000;
const FIRST_PAUSE_MS: u64 = 1000;
const LONGEST_PAUSE_MS: u64 = 30_000;

/// What all VMs of an Envoy know of one document. Times are milliseconds since the Unix epoch, 0 is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// When the one in use came.
    pub came_ms: u64,
    /// When the last fetch began.
    pub asked_ms: u64,
    /// The VM that fetches is given up then: it may be gone.
    pub busy_until_ms: u64,
    pub due_ms: u64,
    /// Since it last came.
    pub failures: u64,
}

/// What a VM is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Nothing,
    /// Another VM fetched it.
    Take,
    /// If nobody else has said so first, this is the status, and the document is fetched.
    Fetch(Status),
}

/// `held_ms`: when that came which this VM holds. `stranger_ms`: when a token last named an unknown key here.
pub fn next(
    status: &Status,
    held_ms: u64,
    stranger_ms: Option<u64>,
    now_ms: u64,
    refresh_ms: u64,
    longest_ms: u64,
) -> Deed {
    if status.came_ms != 0 && status.came_ms != held_ms {
        return Deed::Take;
    }
    if now_ms < status.busy_until_ms {
        return Deed::Nothing;
    }
    // Where a policy refreshes more often than the one before.
    let due_ms = match status.failures {
        0 => status.due_ms.min(status.came_ms.saturating_add(refresh_ms)),
        _ => status.due_ms,
    };
    let strange = stranger_ms.is_some_and(|stranger_ms| {
        stranger_ms >= status.asked_ms && now_ms >= status.asked_ms.saturating_add(STRANGER_PAUSE_MS)
    });
    match now_ms >= due_ms || strange {
        false => Deed::Nothing,
        true => {
            let busy_until_ms = now_ms.saturating_add(longest_ms);
            Deed::Fetch(Status {
                asked_ms: now_ms,
                busy_until_ms,
                due_ms: busy_until_ms,
                ..*status
            })
        }
    }
}

impl Status {
    pub const BYTES: usize = 40;

    /// `dice`: anything. Proxies that started together do not ask together for ever.
    pub fn came(self, now_ms: u64, refresh_ms: u64, dice: u64) -> Self {
        Self {
            came_ms: now_ms,
            busy_until_ms: 0,
            due_ms: now_ms.saturating_add(refresh_ms - spread(refresh_ms / 10, dice)),
            failures: 0,
            ..self
        }
    }

    pub fn failed(self, now_ms: u64, refresh_ms: u64, dice: u64) -> Self {
        let pause_ms = FIRST_PAUSE_MS << self.failures.min(10);
        let pause_ms = pause_ms.min(LONGEST_PAUSE_MS).min(refresh_ms);
        Self {
            busy_until_ms: 0,
            due_ms: now_ms.saturating_add(pause_ms - spread(pause_ms / 2, dice)),
            failures: self.failures.saturating_add(1),
            ..self
        }
    }

    pub fn to_bytes(self) -> Vec<u8> {
        let fields = [
            self.came_ms,
            self.asked_ms,
            self.busy_until_ms,
            self.due_ms,
            self.failures,
        ];
        fields.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    /// None where it is none of ours.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (fields, rest) = bytes.as_chunks::<8>();
        match (fields, rest) {
            ([came, asked, busy, due, failures], []) => Some(Self {
                came_ms: u64::from_le_bytes(*came),
                asked_ms: u64::from_le_bytes(*asked),
                busy_until_ms: u64::from_le_bytes(*busy),
                due_ms: u64::from_le_bytes(*due),
                failures: u64::from_le_bytes(*failures),
            }),
            _ => None,
        }
    }
}

fn spread(most: u64, dice: u64) -> u64 {
    dice % most.saturating_add(1)
}
