//! What a page says in words: what was found, how each number is defined, and what made it.

use std::{collections::BTreeMap, fmt::Write};

use lyapunov::Quantity;

use super::{
    Shown,
    data::{Group, slope_in_words},
    escape,
    fit::Fit,
    keys,
    series::rank,
    table::{marked_up, outcome},
};
use crate::text::{counted, four_digits, statistics::quantile};

/// A number in so many significant digits.
fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

/// The first sentences of the page: how many runs, how they ended, and the slopes.
pub fn finding(shown: &[Shown<'_>], groups: &[Group]) -> String {
    let runs = counted(shown.len(), "run");
    format!("{runs}: {}.{}{}", ended(shown), slopes(groups), at_the_end(shown))
}

/// How many runs ended in which way, the most first.
fn ended(shown: &[Shown<'_>]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for shown in shown {
        *counts.entry(shown.digest.state).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

/// Slopes that are listed one by one.
const FEW: usize = 4;

fn slopes(groups: &[Group]) -> String {
    let fits: Vec<_> = groups.iter().filter_map(|group| Some((&group.label, group.fit.as_ref()?))).collect();
    let message = match &fits[..] {
        [] => return String::new(),
        few if few.len() <= FEW => {
            let one = |(label, fit): &(&String, &Fit)| format!("{} for {label}", slope_in_words(fit));
            few.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        many => {
            let slopes = || many.iter().map(|(_, fit)| fit.slope);
            let (least, most) = (slopes().fold(f64::INFINITY, f64::min), slopes().fold(f64::NEG_INFINITY, f64::max));
            format!("between {} and {} in {} groups", four_digits(least), four_digits(most), many.len())
        }
    };
    format!(
        " Where training succeeds, log λ_max against log η has the slope {message}; at the edge of stability it is −1."
    )
}

/// Where η·λ_max ends among the runs that succeeded.
fn at_the_end(shown: &[Shown<'_>]) -> String {
    let ends = shown
        .iter()
        .filter(|shown| shown.digest.succeeded())
        .filter_map(|shown| shown.digest.reading(Quantity::LambdaMax));
    let mut ends: Vec<f64> = ends.map(|found| found.value * found.learning_rate).collect();
    ends.sort_by(f64::total_cmp);
    match &ends[..] {
        [] => String::new(),
        [one] => format!(" η·λ_max ends at {}.", four_digits(rounded(*one, 3))),
        [least, .., most] => {
            let median = quantile(&ends, 0.5).unwrap_or(*least);
            let [least, median, most] = [*least, median, *most].map(|end| four_digits(rounded(end, 3)));
            format!(" η·λ_max ends between {least} and {most}, with the median {median}.")
        }
    }
}

/// How each number is defined.
const METHODS: [(&str, &str); 9] = [
    (
        "η, λ_max, λ_min",
        "η is the learning rate of the step. λ_max and λ_min are the algebraically largest and smallest eigenvalues \
            of the Hessian \
      of the loss, on the data that is named (the mini-batch of the step, a fixed subset, or all training images), \
      each by a Krylov method \
      with a residual, which run.sqlite holds.",
    ),
    (
        "1/η and the edge",
        "Gradient descent on a quadratic is unstable where λ_max exceeds 2/η; with momentum, or preconditioned as \
            Adam is, \
      the edge lies elsewhere and is drawn where the run has recorded it.",
    ),
    (
        "the λ_max of a run",
        "The mean of its readings over the last fifth of the steps at its largest η, so that warm-up and cooldown are \
            left \
      out; the last reading, if it is in the last fifth of the run, where there is none, or where η was at its \
      largest for less than a fifth of the run. Its error bar is the \
      standard deviation of these readings.",
    ),
    (
        "the slope",
        "Ordinary least squares of ln λ_max on ln η, for each group of runs that are alike but for η and seed. Seeds \
            are averaged \
      first (the mean of ln λ_max at each η is one point), and the standard error is that of the scatter of these \
      points about the line. \
      Only runs in which training succeeds count: they took all their steps, and the mean loss on all training images \
      at the end is at \
      most four fifths of the first mini-batch's loss (of another engine's network whose final weights nobody \
      evaluated: the loss of the last \
      mini-batch), and one and a half times as many test images as by guessing are classified correctly.",
    ),
    (
        "batch sharpness",
        "The Rayleigh quotient gᵀHg / gᵀg of the mini-batch's own gradient; at the edge of stability of SGD its mean \
            is 2/η.",
    ),
    (
        "preconditioned sharpness",
        "λ_max of P^-½HP^-½, with the preconditioner P of Adam; its edge is (2 + 2β₁)/((1 − β₁)η).",
    ),
    (
        "exponents",
        "Λ_1 is the largest Lyapunov exponent of the optimizer's map, in nats per step, by Benettin's method with QR \
            along the run; \
      the band is one standard error to each side. Λ_1/η is per unit of training time: per step, over the mean η \
      since the warm-up.",
    ),
    (
        "losses and accuracy",
        "The final loss is the mean over all training images at the final weights; the accuracy is the share of test \
            images \
      that are classified correctly.",
    ),
    (
        "cost",
        "All measurements so far, per training step, in gradient-equivalents (g-eq): one is a forward and a backward \
            pass over a \
      training batch, counted in multiply-adds; where the network ran on another engine, by the clock.",
    ),
];

/// The definitions as HTML, and how curves are thinned.
pub fn methods(points: usize) -> String {
    let mut html = String::from("<dl>");
    for (term, meaning) in METHODS {
        let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", marked_up(term), marked_up(meaning));
    }
    let _ = write!(
        html,
        "<dt>thinned curves</dt><dd>A curve has at most {points} points here. Of every stretch its smallest and its \
            largest value are kept, so \
         no spike is lost; <code>lyapunov export</code> writes all rows. Numbers have five significant \
         digits.</dd></dl>"
    );
    html
}

/// What made a run, in one respect.
type Origin<'a> = &'a dyn Fn(&Shown<'_>) -> String;

/// What made the runs: versions, commits, devices and data, each with the number of runs.
pub fn origins(shown: &[Shown<'_>]) -> String {
    let mut html = format!("<dl><dt>this page</dt><dd>lyapunov {}</dd>", env!("CARGO_PKG_VERSION"));
    let unknown = || "not known".to_owned();
    let origins: [(&str, Origin<'_>); 4] = [
        ("runs made by", &|shown| {
            let engine = shown.run.manifest.engine.as_ref().map(|engine| format!(", {engine}")).unwrap_or_default();
            format!("lyapunov {}{engine}", shown.run.manifest.version)
        }),
        ("git commit", &|shown| shown.run.manifest.git_commit.clone().unwrap_or_else(unknown)),
        ("device", &|shown| shown.run.manifest.device.clone()),
        ("data", &|shown| {
            Some(shown.run.manifest.data.clone()).filter(|data| !data.is_empty()).unwrap_or_else(unknown)
        }),
    ];
    for (term, of) in origins {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for shown in shown {
            *counts.entry(of(shown)).or_default() += 1;
        }
        let parts: Vec<String> = counts.iter().map(|(text, count)| format!("{} ({count})", escape(text))).collect();
        let _ = write!(html, "<dt>{term}</dt><dd>{}</dd>", parts.join(", "));
    }
    html.push_str("</dl>");
    html
}

/// One run, to be opened: a line about it, its facts, and a place for its charts.
pub fn run(i: usize, shown: &Shown<'_>, label: &str, open: bool) -> String {
    let about = if label == shown.digest.name { "" } else { label };
    let open = if open { " open" } else { "" };
    format!(
        "<details class=\"run\" id=\"run-{i}\" data-run=\"{i}\"{open}><summary><b>{}</b> <span class=\"state \
            {}\">{}</span> \
         <span class=\"about\">{}</span></summary>{}<div class=\"panels\"></div></details>\n",
        escape(&shown.digest.name),
        shown.digest.state,
        escape(&outcome(shown)),
        escape(about),
        facts(shown)
    )
}

fn facts(shown: &Shown<'_>) -> String {
    let manifest = &shown.run.manifest;
    let mut facts: Vec<String> = Vec::new();
    facts.extend(manifest.fault.as_ref().map(|fault| format!("failed: {fault}")));
    let (model, weights) = (keys::value(shown.run, "model.name"), manifest.parameters);
    facts.push(match &manifest.engine {
        None => format!("{model} on {}, {weights} weights, {} images", manifest.data, manifest.training_images),
        Some(engine) => format!("{model}, {weights} weights, {engine}"),
    });
    facts.extend(shown.digest.steps.map(|steps| format!("{steps} steps")));
    facts.extend(manifest.wall_seconds.map(|seconds| format!("{} s", four_digits(seconds))));
    facts.extend(shown.digest.train_loss.map(|loss| format!("final loss {}", four_digits(loss))));
    facts.extend(shown.digest.test_accuracy.map(|share| format!("test accuracy {}", four_digits(share))));
    let mut facts: Vec<String> = facts.iter().map(|fact| escape(fact)).collect();
    let mut readings: Vec<_> = shown.digest.readings.iter().collect();
    readings.sort_by_key(|found| rank(&found.quantity));
    facts.extend(readings.into_iter().map(|found| {
        let spread = found.spread.map(|spread| format!(" ± {}", four_digits(rounded(spread, 2)))).unwrap_or_default();
        let symbol = if found.quantity.starts_with("lambda") {
            found.quantity.replace("lambda", "λ")
        } else {
            found.quantity.replace('_', " ")
        };
        marked_up(&format!("{symbol} on {} {}{spread}", found.on, four_digits(found.value)))
    }));
    let config = || crate::text::shell::quoted(&shown.run.folder.join(crate::folder::CONFIG).display().to_string());
    // A network that is not of the program is trained again by its own script.
    let again = match manifest.engine {
        None => format!("<br><code>{}</code>", escape(&format!("lyapunov train {}", config()))),
        Some(_) => String::new(),
    };
    format!("<p class=\"facts\">{}{again}</p>", facts.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 1.0, -0.012_345, 123_456.0, 1234.5, 0.5, 1e-7, 100.0].map(four_digits);
        assert_eq!(texts, ["0", "1", "−0.01235", "1.23e5", "1234", "0.5", "1.00e−7", "100"]);
    }

    #[test]
    fn slopes_of_few_groups_are_reported_one_by_one_and_of_many_by_their_range() {
        let group = |slope: f64| {
            let fit = Fit { slope, std_error: Some(0.1), intercept: 0.0, count: 3, range: (0.1, 1.0) };
            Group::new(format!("m{slope}"), Some(fit))
        };
        assert!(slopes(&[group(-1.0)]).contains("−1.00 ± 0.10 for m-1"), "{}", slopes(&[group(-1.0)]));
        let many: Vec<Group> = (1..6).map(|i| group(-0.2 * f64::from(i))).collect();
        assert!(slopes(&many).contains("between −1 and −0.2 in 5 groups"), "{}", slopes(&many));
        assert_eq!(slopes(&[Group::new(String::new(), None)]), "");
    }
}
