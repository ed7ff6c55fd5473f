//! A chapter of the guide, as far as it concerns a shell.

/// A chapter.
pub struct Chapter {
    /// Its name, which is also that of its test.
    pub name: String,
    /// Its blocks of commands.
    pub blocks: Vec<Block>,
    /// Its blocks that are files: name and content.
    pub files: Vec<(String, String)>,
}

/// A block of commands.
#[derive(Default)]
pub struct Block {
    /// It is not run.
    pub shown: bool,
    /// It runs in the repository.
    pub clone: bool,
    /// What it is not run without.
    pub needs: Vec<String>,
    /// Its commands.
    pub steps: Vec<Step>,
}

/// A command and its answer.
pub struct Step {
    /// File and line.
    pub place: String,
    /// The command, without its prompt.
    pub command: String,
    /// The lines that it prints.
    pub expected: Vec<String>,
}

const FENCE: &str = "```";

impl Chapter {
    /// Reads a chapter's Markdown.
    pub fn parse(name: &str, markdown: &str) -> Self {
        let mut chapter = Self { name: name.to_owned(), blocks: Vec::new(), files: Vec::new() };
        let mut lines = markdown.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let Some(info) = line.strip_prefix(FENCE) else { continue };
            let mut body = Vec::new();
            for (_, line) in lines.by_ref().take_while(|(_, line)| *line != FENCE) {
                body.push(line);
            }
            chapter.take_block(info, index + 1, &body);
        }
        chapter
    }

    /// `info` is what stands after the fence, in the line with this number.
    fn take_block(&mut self, info: &str, number: usize, body: &[&str]) {
        let mut words = info.split(',');
        let is_console = words.next() == Some("console");
        let mut block = Block::default();
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("file", name) if !is_console => self.files.push((name.to_owned(), body.join("\n") + "\n")),
                ("shown", "") if is_console => block.shown = true,
                ("clone", "") if is_console => block.clone = true,
                ("needs", tool) if is_console => block.needs.push(tool.to_owned()),
                _ => panic!("{}.md:{number}: a block cannot say `{word}`", self.name),
            }
        }
        if is_console {
            block.steps = self.steps(number, body);
            self.blocks.push(block);
        }
    }

    fn steps(&self, number: usize, body: &[&str]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for (line, number) in body.iter().zip(number + 1..) {
            let place = || format!("docs/guide/src/{}.md:{number}", self.name);
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { place: place(), command: command.to_owned(), expected: Vec::new() });
                }
                (None, Some(step)) if step.expected.is_empty() && step.command.ends_with('\\') => {
                    step.command += "\n";
                    step.command += line;
                }
                (None, Some(step)) => step.expected.push((*line).to_owned()),
                (None, None) => panic!("{}: an answer before the first command", place()),
            }
        }
        steps
    }
}

#[test]
fn commands_answers_and_files_are_read() {
    let text = "# Title\n```console,clone,needs=go\n$ a \\\n    b\nanswer\n\n$ c\n```\n\
                ```rust,file=x.rs\nfn main() {}\n```\n```toml\n$ no\n```\n";
    let chapter = Chapter::parse("name", text);
    assert_eq!(chapter.files, [("x.rs".to_owned(), "fn main() {}\n".to_owned())]);
    let [block] = &chapter.blocks[..] else { panic!("one block") };
    assert!(block.clone && !block.shown && block.needs == ["go"]);
    let steps: Vec<_> = block.steps.iter().map(|step| (&*step.place, &*step.command)).collect();
    assert_eq!(steps, [("docs/guide/src/name.md:3", "a \\\n    b"), ("docs/guide/src/name.md:7", "c")]);
    assert_eq!(block.steps[0].expected, ["answer", ""]);
}
