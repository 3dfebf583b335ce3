//! What a page tells its reader to do, as steps: fenced blocks, and HTML comments that readers do not see.
//!
//! | comment before a block | `sh` | `text` |
//! |---|---|---|
//! | none | each line is run to its end and must succeed | what the `sh` block before it printed |
//! | `<!-- terminal NAME -->` | its one line is started and stays | |
//! | `<!-- terminal NAME shows -->` | | what that terminal prints next |
//! | `<!-- not run: WHY -->` | not run | |
//!
//! `<!-- file NAME -->` before a block of any language puts it into that file. `<!-- Ctrl-C in NAME -->` and
//! `<!-- NAME is a browser at URL -->` stand alone; what a browser shows is its console. In `text`, `…` is anything in a line, or any lines where it stands alone.
//! A command that nothing checks is an error, like anything else that is not understood.

/// One thing to do, and the line of the page that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) deed: Deed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Run these, one after the other; what they print has these lines.
    Run { commands: Vec<String>, prints: Vec<String> },
    /// Start this in a terminal of its own.
    Start { terminal: String, command: String },
    /// That terminal prints these lines, behind what it was seen to print before.
    Shows { terminal: String, prints: Vec<String> },
    /// Ctrl-C.
    Stop { terminal: String },
    /// Save this under a name.
    Save { name: String, body: Vec<String> },
    /// Left out.
    NotRun { commands: Vec<String> },
}

/// The command that stands for opening a page: it prints the lines of the console.
pub(crate) const BROWSER: &str = "open-in-browser";

/// The steps of a page.
///
/// # Errors
/// A sentence with the line for what is not understood, and for a command without a check.
pub(crate) fn steps(page: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for (line, mark, language, body) in blocks(page)? {
        let last = steps.last_mut().map(|step| &mut step.deed);
        let deed = match (language.as_str(), mark) {
            ("sh", Mark::None) => Deed::Run { commands: body, prints: Vec::new() },
            ("sh", Mark::NotRun) => Deed::NotRun { commands: body },
            ("sh", Mark::Terminal(terminal)) => match <[String; 1]>::try_from(body) {
                Ok([command]) => Deed::Start { terminal, command },
                Err(_) => return Err(format!("line {line}: a terminal runs one command")),
            },
            ("text", Mark::None) => match last {
                Some(Deed::Run { prints, .. }) if prints.is_empty() => {
                    *prints = body;
                    continue;
                }
                _ => return Err(format!("line {line}: there is no command before this output")),
            },
            ("text", Mark::Shows(terminal)) => Deed::Shows { terminal, prints: body },
            ("", Mark::Stop(terminal)) => Deed::Stop { terminal },
            ("", Mark::Browser(terminal, url)) => {
                Deed::Start { terminal, command: format!("{BROWSER} {url}") }
            }
            (language, Mark::File(name)) if !language.is_empty() => Deed::Save { name, body },
            ("js", Mark::None) => continue,
            (_, mark) => {
                return Err(format!("line {line}: {mark:?} does not belong to a block of {language:?}"));
            }
        };
        steps.push(Step { line, deed });
    }
    check(&steps)?;
    Ok(steps)
}

/// The lines of the blocks in a language.
pub(crate) fn code(page: &str, language: &str) -> Vec<String> {
    let blocks = blocks(page).unwrap_or_default();
    blocks.into_iter().filter(|(_, _, of, _)| of == language).flat_map(|(_, _, _, body)| body).collect()
}

#[derive(Debug)]
enum Mark {
    None,
    NotRun,
    Terminal(String),
    Shows(String),
    Stop(String),
    File(String),
    Browser(String, String),
}

type Block = (usize, Mark, String, Vec<String>);

/// Blocks that have a language, and marks that stand alone (as blocks without one).
fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut before = Mark::None;
    let mut lines = (1..).zip(page.lines());
    while let Some((line, text)) = lines.next() {
        if let Some(language) = text.trim_start().strip_prefix("```") {
            let mut body = Vec::new();
            loop {
                match lines.next() {
                    Some((_, text)) if text.trim() == "```" => break,
                    Some((_, text)) => body.push(text.trim_end().to_owned()),
                    None => return Err(format!("line {line}: this block has no end")),
                }
            }
            let mark = std::mem::replace(&mut before, Mark::None);
            match language {
                "" if matches!(mark, Mark::None) => {} // a picture
                _ => blocks.push((line, mark, language.to_owned(), body)),
            }
            continue;
        }
        if !matches!(before, Mark::None) {
            return Err(format!("line {line}: the comment before this belongs right before a block"));
        }
        let Some(comment) = text.trim().strip_prefix("<!-- ").and_then(|text| text.strip_suffix(" -->"))
        else {
            continue;
        };
        match mark(comment) {
            Some(alone @ (Mark::Stop(_) | Mark::Browser(..))) => {
                blocks.push((line, alone, String::new(), Vec::new()));
            }
            Some(mark) => before = mark,
            None => return Err(format!("line {line}: <!-- {comment} --> says nothing to this test")),
        }
    }
    Ok(blocks)
}

fn mark(comment: &str) -> Option<Mark> {
    let name = |text: &str| (!text.is_empty() && !text.contains(' ')).then(|| text.to_owned());
    if let Some(why) = comment.strip_prefix("not run: ") {
        return (!why.is_empty()).then_some(Mark::NotRun);
    }
    if let Some(terminal) = comment.strip_prefix("Ctrl-C in ") {
        return name(terminal).map(Mark::Stop);
    }
    if let Some(file) = comment.strip_prefix("file ") {
        return name(file).filter(|file| !file.contains('/')).map(Mark::File);
    }
    if let Some((terminal, url)) = comment.split_once(" is a browser at ") {
        return name(terminal).zip(name(url)).map(|(terminal, url)| Mark::Browser(terminal, url));
    }
    let terminal = comment.strip_prefix("terminal ")?;
    match terminal.strip_suffix(" shows") {
        Some(terminal) => name(terminal).map(Mark::Shows),
        None => name(terminal).map(Mark::Terminal),
    }
}

/// Every command has a check, every terminal a beginning.
fn check(steps: &[Step]) -> Result<(), String> {
    for (at, Step { line, deed }) in steps.iter().enumerate() {
        let later = |terminal: &str| {
            let mine = move |step: &&Step| match &step.deed {
                Deed::Start { terminal: other, .. }
                | Deed::Shows { terminal: other, .. }
                | Deed::Stop { terminal: other } => other == terminal,
                Deed::Run { .. } | Deed::NotRun { .. } | Deed::Save { .. } => false,
            };
            steps[at + 1..].iter().find(mine).map(|step| &step.deed)
        };
        let open = |terminal: &str| {
            let about = steps[..at].iter().rev().find_map(|step| match &step.deed {
                Deed::Start { terminal: other, .. } if other == terminal => Some(true),
                Deed::Stop { terminal: other } if other == terminal => Some(false),
                _ => None,
            });
            about == Some(true)
        };
        let problem = match deed {
            Deed::Run { commands, .. } | Deed::NotRun { commands } if commands.is_empty() => "nothing to run",
            Deed::Save { body, .. } if body.is_empty() => "nothing to save",
            Deed::Run { prints, .. } | Deed::Shows { prints, .. } if prints.is_empty() => {
                "nothing says what this prints"
            }
            Deed::Start { terminal, .. } if open(terminal) => "this terminal is busy",
            Deed::Start { terminal, .. } if !matches!(later(terminal), Some(Deed::Shows { .. })) => {
                "nothing says what this prints"
            }
            Deed::Shows { terminal, .. } | Deed::Stop { terminal } if !open(terminal) => {
                "nothing runs in this terminal"
            }
            _ => continue,
        };
        return Err(format!("line {line}: {problem}"));
    }
    Ok(())
}

/// Whether `line` is what the page shows; `…` stands for anything.
pub(crate) fn is_shown(line: &str, shown: &str) -> bool {
    let (line, shown) = (line.trim_end(), shown.trim_end());
    let parts: Vec<&str> = shown.split('…').collect();
    let [first, middle @ .., last] = &parts[..] else { return line == shown };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in middle {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Where `printed` goes on behind these lines, in this order and perhaps with others between; the first that is not
/// there otherwise.
///
/// # Errors
/// The line that is missing.
pub(crate) fn find<'a>(printed: &str, shown: &'a [String]) -> Result<usize, &'a str> {
    let mut at = 0;
    for line in shown.iter().filter(|line| line.trim() != "…") {
        let mut from = at;
        let mut lines = printed[at..].split_inclusive('\n');
        at = loop {
            let Some(text) = lines.next() else { return Err(line) };
            from += text.len();
            if is_shown(text, line) {
                break from;
            }
        };
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deeds(page: &str) -> Vec<Deed> {
        steps(page).expect("a sound page").into_iter().map(|step| step.deed).collect()
    }

    fn texts(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_page_becomes_steps() {
        let page = "# A\n```\na picture\n```\n```sh\none\ntwo\n```\nso:\n```text\n1\n2\n```\n\
                    <!-- terminal a -->\n```sh\nserve\n```\n<!-- terminal a shows -->\n```text\nready\n```\n\
                    <!-- Ctrl-C in a -->\n<!-- not run: costs money -->\n```sh\nbuy\n```\n```js\nx\n```\n";
        let a = || "a".to_owned();
        assert_eq!(
            deeds(page),
            [
                Deed::Run { commands: texts(&["one", "two"]), prints: texts(&["1", "2"]) },
                Deed::Start { terminal: a(), command: "serve".into() },
                Deed::Shows { terminal: a(), prints: texts(&["ready"]) },
                Deed::Stop { terminal: a() },
                Deed::NotRun { commands: texts(&["buy"]) },
            ]
        );
        assert_eq!(code(page, "js"), ["x"]);
    }

    #[test]
    fn files_and_browsers_are_steps() {
        let page = "<!-- file A.java -->\n```java\nclass A {\n\n}\n```\n<!-- tab is a browser at http://a/b -->\n\
                    <!-- terminal tab shows -->\n```text\nhello\n```\n";
        assert_eq!(
            deeds(page),
            [
                Deed::Save { name: "A.java".into(), body: texts(&["class A {", "", "}"]) },
                Deed::Start { terminal: "tab".into(), command: format!("{BROWSER} http://a/b") },
                Deed::Shows { terminal: "tab".into(), prints: texts(&["hello"]) },
            ]
        );
    }

    #[test]
    fn what_is_not_checked_or_not_understood_is_an_error() {
        let start = "<!-- terminal a -->\n```sh\nserve\n```\n";
        let shows = "<!-- terminal a shows -->\n```text\nready\n```\n";
        for (page, words) in [
            ("```sh\nrm -r x\n```\n".to_owned(), "line 1: nothing says"),
            ("```sh\na\n```\n```sh\nb\n```\n```text\n1\n```\n".to_owned(), "line 1: nothing says"),
            ("```sh\n```\n```text\n1\n```\n".to_owned(), "nothing to run"),
            ("```text\n1\n```\n".to_owned(), "no command before"),
            ("```sh\na\n".to_owned(), "no end"),
            ("```bash\na\n```\n".to_owned(), "does not belong"),
            ("<!-- terminal a -->\n\n```sh\na\n```\n".to_owned(), "right before"),
            ("<!-- run it -->\n```sh\na\n```\n".to_owned(), "says nothing"),
            ("<!-- not run:  -->\n```sh\na\n```\n".to_owned(), "says nothing"),
            (start.to_owned(), "nothing says"),
            (format!("{start}<!-- Ctrl-C in a -->\n"), "nothing says"),
            (format!("{start}{shows}{start}{shows}"), "busy"),
            (shows.to_owned(), "nothing runs"),
            (format!("{start}{shows}<!-- Ctrl-C in a -->\n{shows}"), "nothing runs"),
            ("<!-- Ctrl-C in a -->\n".to_owned(), "nothing runs"),
            ("<!-- terminal a -->\n```sh\na\nb\n```\n".to_owned(), "one command"),
            ("<!-- file a -->\n```java\n```\n".to_owned(), "nothing to save"),
            ("<!-- file ../a -->\n```java\nx\n```\n".to_owned(), "says nothing"),
            ("<!-- a is a browser at http://b -->\n".to_owned(), "nothing says"),
        ] {
            let problem = steps(&page).expect_err(&page);
            assert!(problem.contains(words), "{page}{problem}");
        }
    }

    #[test]
    fn the_ellipsis_is_anything() {
        for (line, shown, expected) in [
            ("a b\n", "a b", true),
            ("a b", "a", false),
            ("a b", "b", false),
            ("(session 12)", "(session …)", true),
            ("(session 12) x", "(session …)", false),
            ("x 7", "x …", true),
            ("tail", "…il", true),
            ("a to b to c", "a … to c", true),
        ] {
            assert_eq!(is_shown(line, shown), expected, "{line:?} {shown:?}");
        }
    }

    #[test]
    fn lines_are_found_in_their_order() {
        let printed = "one\ntwo\nthree\n";
        assert_eq!(find(printed, &texts(&["one", "…", "three"])), Ok(printed.len()));
        assert_eq!(find(printed, &texts(&["one"])), Ok(4));
        assert_eq!(find(printed, &texts(&["two", "one"])), Err("one"));
        assert_eq!(find(printed, &texts(&["…", "four"])), Err("four"));
    }
}
