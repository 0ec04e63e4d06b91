//! What is to become of each recorded answer: section 4 of `space-invoices-loopback.md`, case by case.

/// What is to become of a recorded answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// K: status and body stay.
    Keep,
    /// K (status): the status stays, what is said beside it is free.
    KeepStatus,
    /// B: evidently bad; section 5 says what is better. Where that makes no difference in the case at hand, status and
    /// body are as recorded.
    Better,
    /// –: free. What we do is as recorded, or stands among the differences.
    Free,
}

/// Every case that is replayed, once.
#[rustfmt::skip]
pub(super) const VERDICTS: &[(Verdict, &[&str])] = &[
    // Accounts and logging in. A22 is A06 once more.
    (Verdict::Keep, &["A01", "A02", "A03", "A05", "A08", "A09", "A10", "A12", "A15", "A16", "A17", "A18", "A19", "A21", "A22", "A23"]),
    (Verdict::Better, &["A11", "A27"]),
    (Verdict::Free, &["A26"]),
    // Create.
    (Verdict::Keep, &["B04", "B23", "B35", "B47", "B48", "B52", "B53", "B54", "B55", "B56", "B63"]),
    (Verdict::KeepStatus, &["B24"]),
    (Verdict::Better, &[
        "B05", "B06", "B10", "B12", "B13", "B14", "B15", "B20", "B21", "B25", "B26", "B27", "B28", "B30", "B32", "B33",
        "B34", "B40", "B41", "B43", "B44", "B49", "B57", "B59",
    ]),
    (Verdict::Free, &["B61"]),
    // List.
    (Verdict::Keep, &[
        "C03", "C04", "C05", "C06", "C10", "C11", "C12", "C15", "C16", "C24", "C25", "C29", "C31", "C32", "C34", "C36",
        "C37", "C39", "C41", "C46", "C48", "C50", "C51", "C57", "C58", "C60", "C64", "C70", "C71", "C72", "C73",
    ]),
    (Verdict::KeepStatus, &["C28", "C30", "C38", "C69"]),
    (Verdict::Better, &["C08", "C19", "C43", "C45", "C47", "C65", "C68"]),
    (Verdict::Free, &["C17", "C74"]),
    // Using a token. F34 is as recorded: DEFAULT is full authority over the account (design 2.3), so nothing is widened.
    (Verdict::Keep, &[
        "F01", "F03", "F06", "F07", "F08", "F09", "F11", "F15", "F17", "F19", "F20", "F21", "F23", "F31", "F35", "F37",
        "F38", "F41", "F46", "F51",
    ]),
    (Verdict::Better, &["F12", "F13", "F16", "F25", "F26", "F28", "F32", "F33", "F34", "F43", "F44", "F49", "F50"]),
    // The life of an account.
    (Verdict::Keep, &["H01", "H06", "H07", "H08"]),
    // What is not documented, and delete. For D see section 6.1.
    (Verdict::Better, &["D01", "D02", "D03", "D06", "D10"]),
    (Verdict::KeepStatus, &["D08"]),
    (Verdict::Keep, &["E01", "E02", "E03", "E04", "E05", "E06", "E07", "E08", "E11", "E15", "E16"]),
    (Verdict::Better, &["E17", "E18", "E19", "E20"]),
    // Routes.
    (Verdict::Keep, &["G12", "G19"]),
    (Verdict::KeepStatus, &["G02", "G03", "G04", "G05", "G06", "G09"]),
    (Verdict::Free, &["G10"]),
    // The end of a process.
    (Verdict::Better, &["X01", "X03"]),
];
