//! EdgeStep (experimental form).

use super::{Controller, Probes, positive};
use crate::{
    error::{Error, Result},
    record::Measurement,
};

/// Options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeStepOptions {
    /// s.
    pub strength: f64,
    /// Upper s.
    pub ceiling: f64,
    /// 1/(1-beta).
    pub amplification: f64,
    /// Early steps.
    pub early: f64,
    /// Period of probes, early.
    pub every_early: f64,
    /// Period.
    pub every: f64,
    /// Memory.
    pub follow: f64,
    /// Push per step.
    pub growth: f64,
    /// Retreat per step.
    pub retreat: f64,
    /// Trend threshold.
    pub trend: f64,
    /// Fast.
    pub fast: f64,
    /// Slow.
    pub slow: f64,
    /// First share.
    pub start: f64,
    /// Rise per step in the early phase.
    pub rise: f64,
    /// Variant.
    pub mode: f64,
    /// .
    pub horizon: f64,
    /// .
    pub gain: f64,
    /// .
    pub alpha: f64,
    /// .
    pub low: f64,
    /// .
    pub fall: f64,
    /// .
    pub down: f64,
    /// Stop of pushing.
    pub until: f64,
}

impl Default for EdgeStepOptions {
    fn default() -> Self {
        Self {
            strength: 2.0,
            ceiling: 5.0,
            amplification: 10.0,
            early: 80.0,
            every_early: 2.0,
            every: 10.0,
            follow: 0.2,
            growth: 1.02,
            retreat: 0.98,
            trend: 0.98,
            fast: 0.9,
            slow: 0.98,
            start: 0.02,
            rise: 1.1,
            mode: 0.0,
            until: 1e9,
            horizon: 1.0,
            gain: 2.0,
            alpha: 0.5,
            low: 1.0,
            fall: 0.2,
            down: 0.2,
        }
    }
}

/// The rule.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeStep {
    o: EdgeStepOptions,
    level: Option<f64>,
    probes: Vec<f64>,
    base: f64,
    fast: f64,
    slow: f64,
    latched: bool,
    s: f64,
    f2: f64,
    s2: f64,
    hold: f64,
}

impl EdgeStep {
    /// Rate.
    pub fn rate_at(&self, stretch: f64) -> f64 {
        self.o.strength / self.o.amplification / stretch
    }

    /// New.
    ///
    /// # Errors
    /// Arguments.
    pub fn new(o: EdgeStepOptions) -> Result<Self> {
        positive("sigma", o.strength)?;
        Ok(Self {
            o,
            level: None,
            probes: Vec::new(),
            base: 0.0,
            fast: 0.0,
            slow: 0.0,
            latched: false,
            s: o.strength,
            f2: 0.0,
            s2: 0.0,
            hold: 0.0,
        })
    }
}

fn mode7(m: f64) -> bool {
    (m - 7.0).abs() < 0.1
}

impl Controller for EdgeStep {
    fn wants(&self, step: u64) -> Probes {
        let every = if (step as f64) < self.o.early { self.o.every_early } else { self.o.every };
        Probes { along: step.is_multiple_of(every as u64), secant: false }
    }

    fn next(&mut self, m: &Measurement) -> Result<f64> {
        let o = self.o;
        let t = m.step as f64;
        let early = t < o.early;
        if m.step == 0 {
            self.fast = m.loss;
            self.slow = m.loss;
        }
        self.fast += (1.0 - o.fast) * (m.loss - self.fast);
        if m.step == 0 {
            self.f2 = m.loss;
            self.s2 = m.loss;
        }
        self.f2 += (10.0 / (t + 12.0)) * (m.loss - self.f2);
        self.s2 += (2.0 / (t + 4.0)) * (m.loss - self.s2);
        self.slow += (1.0 - o.slow) * (m.loss - self.slow);
        if let Some(along) = m.along.filter(|a| a.stretch > 0.0) {
            let x = along.stretch;
            match self.level {
                None => {
                    self.level = Some(x);
                    self.base = o.start * o.strength / o.amplification / x;
                }
                Some(l) => {
                    let w = if early {
                        if x > l { 0.8 } else { o.fall }
                    } else if x > l {
                        o.follow
                    } else {
                        o.down
                    };
                    self.level =
                        Some(if o.mode >= 10.0 { (l.ln() + w * (x.ln() - l.ln())).exp() } else { l + w * (x - l) });
                }
            }
            if early && t >= 0.5 * o.early && o.mode < 20.0 {
                self.probes.push(x);
            }
        }
        if let (Some(a), true) = (m.along, std::env::var("DUMP").is_ok()) {
            let h = o.amplification * if mode7(o.mode) { o.start } else { m.learning_rate };
            eprintln!(
                "DUMP {} {:.4} {:.4} {:.4} {:.4} {:.4} {:.4} {:.5} {:.5}",
                m.step,
                m.loss,
                self.fast / self.slow,
                h * a.stretch,
                h * a.curvature,
                a.slope / m.gradient_norm,
                a.reach / m.gradient_norm,
                m.gradient_norm,
                h / o.amplification
            );
        }
        let Some(_) = self.level else {
            return Err(Error::Unmeasured { what: "curvature along the step", step: m.step });
        };
        if !early && !self.probes.is_empty() {
            self.probes.sort_by(f64::total_cmp);
            self.level = Some(self.probes[self.probes.len() / 2]);
            self.probes.clear();
        }
        let l = self.level.unwrap_or(1.0);
        if mode7(o.mode) {
            self.base = o.start;
            return Ok(self.base);
        }
        let at = |s: f64| s / o.amplification / l;
        let mode = if o.mode == 9.0 { 9 } else { o.mode as i64 % 10 };
        if early {
            self.base = (self.base * o.rise).min(at(o.strength));
            self.s = o.strength;
        } else {
            let ratio = self.fast / self.slow;
            match mode {
                1 => {
                    if ratio > o.trend && t < o.until {
                        self.latched = true;
                    }
                    if !self.latched && t < o.until {
                        self.base = (self.base * o.growth).min(at(o.ceiling));
                    } else {
                        self.base = at(o.strength);
                    }
                }
                2 => {
                    if ratio < o.trend {
                        self.s *= o.growth
                    } else {
                        self.s *= o.retreat
                    }
                    self.s = self.s.clamp(o.strength, o.ceiling);
                    self.base = at(self.s);
                }
                // Congestion control: up while the loss falls, down while it does not, on the rate itself.
                3 => {
                    if ratio < o.trend {
                        self.base *= o.growth
                    } else if ratio > 1.0 {
                        self.base *= o.retreat
                    }
                    self.base = self.base.clamp(at(0.5 * o.strength), at(o.ceiling));
                }
                // A ramp of s over the run.
                4 => {
                    let x = (t / o.horizon).min(1.0);
                    self.base = at(o.strength + (o.ceiling - o.strength) * x);
                }
                // Hold with a brake.
                5 => {
                    if self.hold == 0.0 {
                        self.hold = at(o.strength);
                    }
                    self.base = self.hold.min(at(o.ceiling));
                }
                // s by the slope of the loss in log time.
                6 => {
                    let (cf, cs) = (10.0, 2.0);
                    let r = self.f2 / self.s2;
                    let alpha = cf * cs * (1.0 - r) / (cf - r * cs);
                    self.s *= (o.gain * (alpha - o.alpha).clamp(-0.5, 0.5) / t).exp();
                    self.s = self.s.clamp(o.low, o.ceiling);
                    self.base = at(self.s);
                }
                // Dead band.
                9 => {
                    self.base = self.base.max(at(o.low)).min(at(o.ceiling));
                }
                // Rate by the slope of the loss in log time, s as a bound.
                8 => {
                    let (cf, cs) = (10.0, 2.0);
                    let r = self.f2 / self.s2;
                    let alpha = cf * cs * (1.0 - r) / (cf - r * cs);
                    self.base *= (o.gain * (alpha - o.alpha).clamp(-0.5, 0.5) / t).exp();
                    self.base = self.base.clamp(at(o.low), at(o.ceiling));
                }
                _ => self.base = (self.base * o.rise).min(at(o.strength)),
            }
        }
        Ok(self.base)
    }
}
