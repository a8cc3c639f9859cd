//! scratch
use stg_env::machine::Machine;
use stg_env::requirements::*;
use stg_env::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let cache = Cache::discover(None).expect("x");
    let t = std::time::Instant::now();
    let r: Result<(), EnvError> = (|| {
        match args[1].as_str() {
            "doctor" => {
                let m = Machine::here(&cache)?;
                let rows = check(&m, &Group::ALL);
                print!("{}", table_text(&rows));
                println!("complete {}", complete(&rows));
            }
            "setup" => {
                println!("{:?}", setup::run(&cache, &Group::ALL, setup::Options { dry_run: args.len() > 2 })?);
            }
            "ensure" => setup::ensure(&cache, &Group::ALL)?,
            "base" => println!("{:#?}", deb::fetch(&cache, "linux-source-7.3", &args[2..], &deb::Wanted::Line("7.3"))?),
            "deb" => println!("{:#?}", deb::fetch(&cache, &args[2], &args[4..], &deb::Wanted::Release(&args[3]))?),
            "tc" => {
                let tc = toolchain::Toolchain::detect(&cache)?;
                println!("{tc:#?}\n{:#?}", tc.make_env());
                println!("{:?}", toolchain::Qemu::detect(&cache)?);
            }
            _ => panic!(),
        }
        Ok(())
    })();
    eprintln!("took {:?}", t.elapsed());
    if let Err(e) = r {
        eprintln!("error ({}): {e}", e.exit_code());
        std::process::exit(e.exit_code());
    }
}
