//! Python 2.7, which Autobahn's test suite needs and nobody ships any more: where it is, and the suite's environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::packages;
use crate::{program, workspace};

/// What to do where there is none.
pub(super) const ADVICE: &str =
    "there is no Python 2.7: install one (`pyenv install 2.7.18` will do), then `cargo xtask install`";

/// A Python 2.7 that works: on the `PATH`, or among pyenv's versions.
pub(super) fn find() -> Option<PathBuf> {
    let on_path = program::find("python2.7").into_iter();
    on_path.chain(pyenv().unwrap_or_default()).find(|python| works(python))
}

/// pyenv puts a `python2.7` on the `PATH` that only says that it is not the chosen one: so each is asked.
fn works(python: &Path) -> bool {
    let ask = "import sys; sys.exit(sys.version_info[:2] != (2, 7))";
    program::output(Command::new(python).args(["-c", ask])).is_ok()
}

fn pyenv() -> Option<Vec<PathBuf>> {
    let pyenv = program::find("pyenv")?;
    let root = program::output(Command::new(pyenv).arg("root")).ok()?;
    let versions = fs::read_dir(Path::new(root.trim()).join("versions")).ok()?.flatten();
    let two = versions.filter(|version| version.file_name().to_string_lossy().starts_with("2.7."));
    Some(two.map(|version| version.path().join("bin/python2.7")).collect())
}

/// Whether the suite is there and its Python still is.
pub(super) fn in_step() -> bool {
    let bin = packages::folder("autobahn").join("bin");
    packages::in_step("autobahn") && ["python", "wstest"].iter().all(|program| bin.join(program).exists())
}

/// The suite, in a virtual environment of Python 2.7. Says what to do where there is none.
pub(super) fn autobahn() -> Result<()> {
    if in_step() {
        return Ok(());
    }
    let Some(python) = find() else {
        println!("Autobahn's test suite is not installed, the test that needs it is skipped: {ADVICE}");
        return Ok(());
    };
    let _ = fs::remove_file(packages::folder("autobahn").join(packages::STAMP)); // its Python may have gone
    packages::make("autobahn", "Autobahn's test suite (PyPI packages of tests/autobahn)", |folder| {
        // Python 2.7 cannot make environments; this one is needed only to make the other.
        let maker = folder.with_extension("maker");
        let lists = workspace::root().join("tests/autobahn");
        program::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&maker))?;
        pip(&maker, &lists.join("virtualenv.txt"))?;
        let mut command = Command::new(maker.join("bin/virtualenv"));
        program::run(command.args(["--quiet", "--python"]).arg(python).arg(folder))?;
        fs::remove_dir_all(&maker).with_context(|| maker.display().to_string())?;
        pip(folder, &lists.join("requirements.txt"))
    })
}

fn pip(environment: &Path, list: &Path) -> Result<()> {
    let mut command = Command::new(environment.join("bin/pip"));
    command.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(list);
    // pip says with each call that Python 2.7 is out of care, which is why it is here.
    program::run(command.env("PYTHONWARNINGS", "ignore").env("PIP_NO_PYTHON_VERSION_WARNING", "1"))
}
