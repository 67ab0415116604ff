//! What a README says, to be held against what is so: blocks of code, commands with what they print,
//! the table of settings.

/// The code blocks of one language.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = text.split(&fence).skip(1);
    parts
        .map(|part| part.split("\n```").next().unwrap_or_default().to_owned())
        .collect()
}

/// The commands of a block, each with the output that stands behind it in comments.
pub fn steps(block: &str) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut told = true;
    for line in block.lines() {
        match line.strip_prefix("# ") {
            Some(output) => {
                let (_, outputs) = steps.last_mut().expect("a command comes first");
                outputs.push_str(output);
                outputs.push('\n');
                told = true;
            }
            None if told => {
                steps.push((line.to_owned(), String::new()));
                told = false;
            }
            None => {
                let (commands, _) = steps.last_mut().expect("a command came first");
                commands.push('\n');
                commands.push_str(line);
            }
        }
    }
    steps
}

/// The rows below `| flag …`, the table of settings.
pub fn settings(text: &str) -> Vec<&str> {
    let rows = text.lines().skip_while(|line| !line.starts_with("| flag "));
    rows.skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect()
}

/// The same rows, as the text of `--help` has them.
pub fn settings_of_help(help: &str) -> Vec<String> {
    let mut lines = help.lines().skip_while(|line| !line.starts_with("  --"));
    let mut rows = Vec::new();
    while let (Some(setting), Some(what)) = (lines.next(), lines.next()) {
        let Some((names, default)) = setting.split_once("] (default: ") else {
            break;
        };
        let (flag, variables) = names.split_once('[').expect("variables in brackets");
        let flag = match flag.trim() {
            "" => String::new(),
            flag => format!("`{flag}`"),
        };
        let variables = variables.split(", ").map(|v| format!("`{v}`"));
        let variables: Vec<_> = variables.collect();
        rows.push(format!(
            "| {flag} | {} | {} | {} |",
            variables.join(", "),
            default.trim_end_matches(')'),
            what.trim()
        ));
    }
    rows
}
