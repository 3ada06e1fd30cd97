//! How text is compared when lists are sorted and searched.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// The key by which a text is sorted and found: without regard to case and accents.
///
/// Of two texts that are the same when case-folded the keys are the same, so a look-up by folded text can use the key's index.
/// Letters are folded one by one: the key of a text is made of the keys of its parts.
#[must_use]
pub fn sort_key(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let bare: String = text.nfkd().filter(|letter| !is_accent(*letter)).collect();
    let folded = caseless::default_case_fold_str(&bare);
    let mut key = String::with_capacity(folded.len());
    for letter in folded.nfkd().filter(|letter| !is_accent(*letter)) {
        match undecomposed(letter) {
            Some(letters) => key.push_str(letters),
            None => key.push(letter),
        }
    }
    key
}

/// Accents have a combining class. Marks without one, such as the vowels of Indian scripts, are letters of their own.
fn is_accent(letter: char) -> bool {
    canonical_combining_class(letter) != 0
}

/// What people type for letters whose stroke or ligature Unicode does not take apart.
fn undecomposed(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ŧ' => "t",
        'ı' => "i",
        'ŋ' => "n",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r53_case_and_accents_do_not_count() {
        for (text, key) in [
            ("Åsa", "asa"),
            ("ÉMILE", "emile"),
            ("Groß", "gross"),
            ("GROẞ", "gross"),
            ("İpek", "ipek"),
            ("Işık", "isik"),
            ("Ольга", "ольга"),
            ("Ångström", "angstrom"),
            ("Œuvre", "oeuvre"),
            ("Þór", "thor"),
            ("Łukasz Đorđević", "lukasz dordevic"),
            ("Ærøskøbing", "aeroskobing"),
            ("ﬁona", "fiona"),
            ("O'Neil", "o'neil"),
            ("Nguyễn", "nguyen"),
        ] {
            assert_eq!(sort_key(text), key, "{text}");
        }
    }

    #[test]
    fn vowels_that_are_marks_count() {
        assert_ne!(sort_key("राम"), sort_key("रमा"));
        assert_ne!(sort_key("한"), sort_key("하"));
    }

    #[test]
    fn keys_of_decomposed_and_composed_text_are_the_same() {
        assert_eq!(sort_key("A\u{30a}sa"), sort_key("\u{c5}sa"));
    }
}
