//! Names of files that are made of names of databases.

/// The first part of the name of a file that belongs to a database. Names of databases may hold anything: whatever could
/// mean something to a file system or a shell is written as `%` and two hex digits, so that no two databases have one file.
pub fn stem(database: &str) -> String {
    let mut name = String::new();
    for letter in database.chars() {
        let plain = letter.is_alphanumeric() || letter == '_' || ("-.".contains(letter) && !name.is_empty());
        if plain {
            name.push(letter);
        } else {
            let mut bytes = [0; 4];
            name.extend(letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    name
}
