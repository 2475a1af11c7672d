//! stub
pub fn execute(a: &crate::args::TrainArguments) -> crate::error::Result<()> {
    let mut d = crate::draft::Draft::default();
    if let Some(f) = &a.file { d.read(f)?; }
    for s in &a.flags.set { d.set(s)?; }
    print!("{}", d.finish()?.text()); Ok(()) }
