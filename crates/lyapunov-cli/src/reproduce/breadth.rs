//! C5: what the other claims came to, network by network and loss by loss.

use super::claim::{Claim, Outcome, heads};

/// The claim that the others hold across networks and losses, by what they found.
pub fn claim(claims: &[Claim]) -> Claim {
    let findings = || claims.iter().flat_map(|claim| claim.findings.iter().map(move |finding| (claim.number, finding)));
    let mut table = vec![heads(["claim", "network, loss", "what became of it", "by the number"])];
    table.extend(findings().map(|(number, finding)| {
        let claim = format!("C{number}: {}", finding.what);
        vec![claim, finding.on.clone(), finding.outcome.words().to_owned(), finding.number.clone()]
    }));
    let mut parts: Vec<(u32, &str)> = Vec::new();
    for part in findings().map(|(number, finding)| (number, finding.what)) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    let counts = parts.iter().map(|part| {
        let own = |outcome: Outcome| {
            findings().filter(|(number, of)| (*number, of.what) == *part && of.outcome == outcome).count()
        };
        let [holds, some, fails, open] = [Outcome::Holds, Outcome::InPart, Outcome::Fails, Outcome::Undecided].map(own);
        let all = holds + some + fails + open;
        let words = [(some, "in part"), (fails, "not"), (open, "undecided")];
        let rest: Vec<String> =
            words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{word} in {count}")).collect();
        let rest = if rest.is_empty() { String::new() } else { format!(" ({})", rest.join(", ")) };
        (holds == all, format!("C{}, {}: in {holds} of {all}{rest}", part.0, part.1))
    });
    let counts: Vec<(bool, String)> = counts.collect();
    let measured = if counts.is_empty() {
        "No run has ended.".to_owned()
    } else {
        let counts: Vec<&str> = counts.iter().map(|(_, count)| count.as_str()).collect();
        format!("It holds: {}.", counts.join("; "))
    };
    let everywhere: Vec<&str> =
        counts.iter().zip(&parts).filter(|((all, _), _)| *all).map(|(_, (_, what))| *what).collect();
    let decided = findings().any(|(_, finding)| finding.outcome != Outcome::Undecided);
    let verdict = match (counts.len(), &everywhere[..]) {
        _ if !decided => "Undecided.".to_owned(),
        (_, []) => "Nothing of it holds on every network and loss that was tried.".to_owned(),
        (all, parts) if parts.len() == all => "It holds on every network and loss that was tried.".to_owned(),
        (_, parts) => format!("On every network and loss that was tried holds only: {}.", parts.join("; ")),
    };
    Claim {
        number: 5,
        title: "all this holds across architectures and losses",
        says: "All this holds across architectures and losses on CIFAR-10.",
        test: "What each of the other claims came to, network by network and loss by loss.".to_owned(),
        measured,
        verdict,
        table,
        picture: None,
        findings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::claim::Finding, *};

    fn claim_of(number: u32, findings: Vec<Finding>) -> Claim {
        Claim {
            number,
            title: "",
            says: "",
            test: String::new(),
            measured: String::new(),
            verdict: String::new(),
            table: Vec::new(),
            picture: None,
            findings,
        }
    }

    #[test]
    fn counts_are_those_of_the_findings() {
        let finding = |what, on: &str, outcome| Finding { what, on: on.to_owned(), outcome, number: "1".to_owned() };
        let (one, two) = (
            vec![finding("a", "mlp", Outcome::Holds), finding("a", "cnn", Outcome::Holds)],
            // One group after another.
            vec![
                finding("b", "mlp", Outcome::of(1, 3)),
                finding("c", "mlp", Outcome::Fails),
                finding("b", "cnn", Outcome::of(0, 3)),
                finding("c", "cnn", Outcome::Fails),
            ],
        );
        let claim = claim(&[claim_of(1, one), claim_of(3, two)]);
        let measured =
            "It holds: C1, a: in 2 of 2; C3, b: in 0 of 2 (in part in 1, not in 1); C3, c: in 0 of 2 (not in 2).";
        assert_eq!(claim.measured, measured);
        assert_eq!(claim.verdict, "On every network and loss that was tried holds only: a.");
        assert_eq!(claim.table[3], ["C3: b", "mlp", "holds in part", "1"]);
        assert_eq!(super::claim(&[]).verdict, "Undecided.");
        assert_eq!([Outcome::of(0, 0), Outcome::of(3, 3)], [Outcome::Undecided, Outcome::Holds]);
    }
}
