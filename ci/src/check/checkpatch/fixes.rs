// SPDX-License-Identifier: GPL-2.0-only

//! What to do about what checkpatch says, by its types.

/// The types that patches run into.
const FIXES: [(&str, &str); 76] = [
    ("ALLOC_SIZEOF_STRUCT", "write sizeof(*pointer)"),
    ("ASSIGN_IN_IF", "assign on a line of its own, before the condition"),
    ("AVOID_BUG", "warn with WARN_ON_ONCE(), and return an error"),
    ("AVOID_EXTERNS", "declare it in a header, without `extern` if it is a function"),
    ("BAD_COMMIT_SEPARATOR", "end the message with a line of exactly `---`"),
    ("BAD_FIXES_TAG", "write `Fixes: 0123456789ab (\"its subject\")`, in one line"),
    ("BAD_REPORTED_BY_LINK", "put `Closes:` or `Link:` with the report right behind its `Reported-by:`"),
    ("BAD_SIGN_OFF", "write `Signed-off-by: Name <address>` letter by letter, one line a person, and each only once"),
    ("BIT_MACRO", "write BIT(n), or BIT_ULL(n) for 64 bits"),
    ("BLOCK_COMMENT_STYLE", "begin each line with ` * `, and give `*/` a line of its own"),
    ("BRACES", "put braces around all branches, or around none if each is a single line"),
    ("C99_COMMENTS", "write `/* ... */`"),
    ("CAMELCASE", "name it in lower case, with underscores"),
    ("CODE_INDENT", "indent with tabs"),
    ("COMMIT_LOG_LONG_LINE", "wrap the message at 75 columns"),
    ("COMMIT_MESSAGE", "say in the message what the patch does, and why"),
    ("COMPARISON_TO_NULL", "write `pointer` or `!pointer`"),
    ("COMPLEX_MACRO", "put the value in parentheses, or make the macro an inline function"),
    ("CONFIG_DESCRIPTION", "explain the option in four lines of help or more"),
    ("CONSTANT_COMPARISON", "put the constant on the right"),
    ("CONST_STRUCT", "make it const"),
    ("DEEP_INDENTATION", "take the inner part out into a function"),
    ("DIFF_IN_COMMIT_MSG", "indent the quoted diff, so that git does not apply it"),
    ("ELSE_AFTER_BRACE", "put `else` behind the closing brace, on the same line"),
    ("EMBEDDED_FILENAME", "take the file's name out of the file"),
    ("EMBEDDED_FUNCTION_NAME", "print \"%s\" with __func__"),
    ("ENOSYS", "return -EOPNOTSUPP; -ENOSYS is for system calls that are not there"),
    ("ENOTSUPP", "return -EOPNOTSUPP, which user space knows"),
    ("EXPORT_SYMBOL", "put it right behind the function"),
    ("FROM_SIGN_OFF_MISMATCH", "let the author and the sign-off have the same name and address"),
    ("FUNCTION_ARGUMENTS", "name the arguments in the prototype as well"),
    ("FUNCTION_WITHOUT_ARGS", "write (void)"),
    ("GIT_COMMIT_ID", "write `commit 0123456789ab (\"its subject\")`"),
    ("GLOBAL_INITIALISERS", "leave the initialiser out: it is zero anyway"),
    ("INDENTED_LABEL", "begin the label in the first column"),
    ("INITIALISED_STATIC", "leave the initialiser out: it is zero anyway"),
    ("LEADING_SPACE", "indent with tabs"),
    ("LINE_SPACING", "put one empty line behind declarations and functions, and never two"),
    ("LOGICAL_CONTINUATIONS", "put the operator at the end of the line before"),
    ("LONG_LINE", "break the line at 100 columns, better at 80"),
    ("LONG_LINE_COMMENT", "break the comment at 100 columns, better at 80"),
    ("LONG_LINE_STRING", "begin the string on a line of its own, and leave it in one piece"),
    ("MACRO_ARG_PRECEDENCE", "put the argument in parentheses wherever the macro uses it"),
    ("MACRO_ARG_REUSE", "make the macro an inline function, or evaluate the argument once"),
    ("MACRO_ARG_UNUSED", "use the argument, or make the macro an inline function"),
    ("MEMORY_BARRIER", "say in a comment what it orders, and against which other barrier"),
    ("MISSING_EOF_NEWLINE", "end the last line"),
    ("MISSING_SIGN_OFF", "let whoever sends the patch sign it off, by hand"),
    ("MULTIPLE_ASSIGNMENTS", "assign each on a line of its own"),
    ("NEW_TYPEDEFS", "use the struct by its name"),
    ("NO_AUTHOR_SIGN_OFF", "let its author sign it off"),
    ("OPEN_BRACE", "put the brace at the end of the line before; only that of a function has its own line"),
    ("OPEN_ENDED_LINE", "put the first argument behind the parenthesis, or shorten what stands before it"),
    ("PARENTHESIS_ALIGNMENT", "align the line with what is behind the open parenthesis"),
    ("POINTER_LOCATION", "put the asterisk at the name: `type *name`"),
    ("PREFER_FALLTHROUGH", "write `fallthrough;`"),
    ("PREFER_KERNEL_TYPES", "use u8, u16, u32 or u64"),
    ("PREFER_PR_LEVEL", "use pr_err() and the like, or dev_err() where there is a device"),
    ("REPEATED_WORD", "remove one of the two"),
    ("RETURN_PARENTHESES", "leave the parentheses out"),
    ("RETURN_VOID", "leave the return out"),
    ("SIZEOF_PARENTHESIS", "write sizeof(x)"),
    ("SPACING", "put blanks where the message wants them, and nowhere else"),
    ("SPDX_LICENSE_TAG", "begin the file with its SPDX line, as a `//` comment in a .c and a `/* */` one in a .h"),
    ("SPLIT_STRING", "leave the string in one piece, however long the line becomes"),
    ("STRCPY", "use strscpy()"),
    ("STRLCPY", "use strscpy()"),
    ("STRNCPY", "use strscpy() or strscpy_pad()"),
    ("SUSPECT_CODE_INDENT", "indent what belongs to the statement above by one tab more than that"),
    ("SWITCH_CASE_INDENT_LEVEL", "indent `case` as far as its `switch`"),
    ("TRAILING_SEMICOLON", "take the semicolon out of the macro"),
    ("TRAILING_STATEMENTS", "put the statement on a line of its own"),
    ("TRAILING_WHITESPACE", "remove the blanks at its end"),
    ("TYPO_SPELLING", "spell it as the message says"),
    ("UNCOMMENTED_DEFINITION", "say in a comment what the lock protects"),
    ("UNNECESSARY_PARENTHESES", "leave the parentheses out"),
];

/// What to do about a finding of a type.
pub(super) fn fix(kind: &str) -> String {
    let known = FIXES.iter().find(|(name, _)| *name == kind).map(|(_, fix)| (*fix).to_owned());
    known.unwrap_or_else(|| {
        format!("write it otherwise: Documentation/dev-tools/checkpatch.rst of Linux explains {kind} under that name")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_there_once_and_has_something_to_do() {
        assert!(FIXES.windows(2).all(|pair| pair[0].0 < pair[1].0), "sorted");
        assert_eq!(fix("OPEN_BRACE"), FIXES.iter().find(|(name, _)| *name == "OPEN_BRACE").unwrap().1);
        assert!(fix("VOLATILE").contains("explains VOLATILE"));
    }
}
