//! Names as they are spread over an account with offices in many countries: common ones far more often than rare ones.

use super::dice::Dice;

/// Where somebody comes from.
pub struct Region {
    /// How many of a hundred come from there.
    share: u64,
    /// The language.
    pub language: &'static str,
    first: &'static [&'static str],
    last: &'static [&'static str],
    /// What rare last names are put together from.
    stems: &'static [&'static str],
    ends: &'static [&'static str],
}

const REGIONS: [Region; 12] = [
    Region {
        share: 20,
        language: "en",
        first: &[
            "James",
            "Mary",
            "John",
            "Patricia",
            "Anna",
            "Robert",
            "Jennifer",
            "Michael",
            "Linda",
            "David",
            "Elizabeth",
            "William",
            "Barbara",
            "Susan",
            "Richard",
            "Jessica",
            "Joseph",
            "Sarah",
            "Thomas",
            "Karen",
            "Daniel",
            "Nancy",
            "Annabel",
            "Hannah",
            "Joanna",
            "Ian",
            "Zoë",
            "Chloë",
            "Seán",
            "Siobhán",
        ],
        last: &[
            "Smith", "Johnson", "Williams", "Brown", "Jones", "Garcia", "Miller", "Davis",
            "Wilson", "Anderson", "Taylor", "Thompson", "Jackson", "O'Brien", "Robinson", "Clark",
            "Lewis", "Walker", "Hall", "Allen", "Young", "King", "Wright", "Harrison", "McDonald",
        ],
        stems: &[
            "Ash", "Black", "Brad", "Car", "Cran", "Edger", "Far", "Green", "Hart", "Kings",
            "Lang", "Mar", "New", "Old", "Red", "Stan", "Thorn", "Under", "Wal", "Whit",
        ],
        ends: &[
            "ford", "ton", "ley", "well", "wood", "field", "man", "son", "worth", "ham", "bridge",
            "more",
        ],
    },
    Region {
        share: 20,
        language: "sv",
        first: &[
            "Anna",
            "Erik",
            "Maria",
            "Lars",
            "Karin",
            "Karl",
            "Eva",
            "Anders",
            "Lena",
            "Johan",
            "Kristina",
            "Per",
            "Annika",
            "Nils",
            "Åsa",
            "Björn",
            "Märta",
            "Göran",
            "Malin",
            "Jörgen",
            "Ann-Sofie",
            "Åke",
            "Örjan",
            "Ylva",
            "Sören",
        ],
        last: &[
            "Andersson",
            "Johansson",
            "Karlsson",
            "Nilsson",
            "Eriksson",
            "Larsson",
            "Olsson",
            "Persson",
            "Svensson",
            "Gustafsson",
            "Pettersson",
            "Jonsson",
            "Jansson",
            "Hansson",
            "Bengtsson",
            "Jönsson",
            "Lindberg",
            "Jakobsson",
            "Magnusson",
            "Lindström",
            "Ångström",
            "Sjögren",
            "Öberg",
            "Åkesson",
            "Höglund",
        ],
        stems: &[
            "Alm", "Berg", "Björk", "Bro", "Ceder", "Dal", "Ek", "Fors", "Gran", "Hed", "Holm",
            "Hög", "Lind", "Lund", "Norr", "Ny", "Rosen", "Sjö", "Ström", "Söder", "Väster",
            "Öster",
        ],
        ends: &[
            "berg", "blad", "dal", "gren", "holm", "kvist", "lund", "man", "mark", "stedt",
            "ström", "stam",
        ],
    },
    Region {
        share: 12,
        language: "de",
        first: &[
            "Peter",
            "Ursula",
            "Michael",
            "Monika",
            "Thomas",
            "Petra",
            "Andreas",
            "Sabine",
            "Wolfgang",
            "Renate",
            "Jürgen",
            "Anneliese",
            "Günther",
            "Hannelore",
            "Jörg",
            "Käthe",
            "Björn",
            "Zoë",
            "Franz",
            "Liselotte",
        ],
        last: &[
            "Müller",
            "Schmidt",
            "Schneider",
            "Fischer",
            "Weber",
            "Meyer",
            "Wagner",
            "Becker",
            "Schulz",
            "Hoffmann",
            "Schäfer",
            "Koch",
            "Bauer",
            "Richter",
            "Klein",
            "Wolf",
            "Schröder",
            "Neumann",
            "Groß",
            "Weiß",
            "Strauß",
            "Köhler",
        ],
        stems: &[
            "Alten", "Blumen", "Eichen", "Fürsten", "Grün", "Hohen", "Königs", "Lichten", "Neu",
            "Ober", "Rosen", "Schön", "Stein", "Unter", "Wald", "Weiß",
        ],
        ends: &[
            "bach", "berg", "burg", "feld", "hausen", "heim", "hof", "mann", "stein", "thal",
            "wald",
        ],
    },
    Region {
        share: 9,
        language: "fr",
        first: &[
            "Marie",
            "Jean",
            "Jeanne",
            "Pierre",
            "Françoise",
            "Michel",
            "Monique",
            "André",
            "Hélène",
            "François",
            "Zoé",
            "Éric",
            "Anne",
            "Joël",
            "Chloé",
            "Noël",
        ],
        last: &[
            "Martin",
            "Bernard",
            "Thomas",
            "Petit",
            "Robert",
            "Richard",
            "Durand",
            "Dubois",
            "Moreau",
            "Laurent",
            "Lefèvre",
            "Garçon",
            "D'Aubigné",
            "Lœuillet",
            "Gérard",
            "Besson",
        ],
        stems: &[
            "Beau", "Bel", "Bois", "Champ", "Clair", "Fon", "Mont", "Val", "Ville",
        ],
        ends: &["ard", "eau", "elle", "ier", "mont", "rand", "tin", "vois"],
    },
    Region {
        share: 8,
        language: "es",
        first: &[
            "María",
            "José",
            "Carmen",
            "Antonio",
            "Ana",
            "Manuel",
            "Isabel",
            "Francisco",
            "Dolores",
            "Juan",
            "Begoña",
            "Íñigo",
            "Ángel",
            "Verónica",
            "Joaquín",
        ],
        last: &[
            "García",
            "Rodríguez",
            "González",
            "Fernández",
            "López",
            "Martínez",
            "Sánchez",
            "Pérez",
            "Gómez",
            "Martín",
            "Jiménez",
            "Núñez",
            "Muñoz",
            "Peña",
            "Ibáñez",
        ],
        stems: &[
            "Agui", "Bel", "Cas", "Fuen", "Mon", "Ro", "Sala", "Val", "Villa",
        ],
        ends: &[
            "ar", "cedo", "dez", "jo", "lera", "mar", "nueva", "rra", "tes",
        ],
    },
    Region {
        share: 6,
        language: "pl",
        first: &[
            "Anna",
            "Piotr",
            "Maria",
            "Krzysztof",
            "Katarzyna",
            "Andrzej",
            "Małgorzata",
            "Łukasz",
            "Agnieszka",
            "Stanisław",
            "Żaneta",
            "Błażej",
        ],
        last: &[
            "Nowak",
            "Kowalski",
            "Wiśniewski",
            "Wójcik",
            "Kowalczyk",
            "Kamiński",
            "Lewandowski",
            "Zieliński",
            "Szymański",
            "Dąbrowski",
            "Kozłowski",
            "Łukaszewicz",
        ],
        stems: &["Brzo", "Dą", "Jabło", "Kali", "Lipo", "Ole", "Stawi", "Za"],
        ends: &["browski", "cki", "kowski", "nowicz", "sinski", "wski"],
    },
    Region {
        share: 6,
        language: "ru",
        first: &[
            "Александр",
            "Елена",
            "Сергей",
            "Ольга",
            "Андрей",
            "Наталья",
            "Алексей",
            "Анна",
            "Дмитрий",
            "Татьяна",
            "Артём",
            "Фёдор",
        ],
        last: &[
            "Иванов",
            "Смирнов",
            "Кузнецов",
            "Попов",
            "Васильев",
            "Петров",
            "Соколов",
            "Михайлов",
            "Новиков",
            "Фёдоров",
            "Королёв",
        ],
        stems: &["Бел", "Ворон", "Голуб", "Орл", "Сокол", "Черн", "Лебед"],
        ends: &["ов", "ева", "ский", "енко", "ин"],
    },
    Region {
        share: 4,
        language: "el",
        first: &[
            "Γιώργος",
            "Μαρία",
            "Δημήτρης",
            "Ελένη",
            "Κώστας",
            "Αικατερίνη",
            "Γιάννης",
            "Άννα",
            "Νίκος",
            "Σοφία",
        ],
        last: &[
            "Παπαδόπουλος",
            "Γεωργίου",
            "Δημητρίου",
            "Νικολαΐδης",
            "Παππάς",
            "Οικονόμου",
            "Καραγιάννης",
            "Βασιλείου",
        ],
        stems: &["Παπα", "Καρα", "Χατζη", "Κοντο"],
        ends: &["γιάννης", "νικολάου", "δημητρίου", "γεωργίου"],
    },
    Region {
        share: 6,
        language: "zh",
        first: &[
            "伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰",
        ],
        last: &[
            "王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙",
        ],
        stems: &["欧", "司", "上", "诸"],
        ends: &["阳", "马", "官", "葛"],
    },
    Region {
        share: 3,
        language: "ja",
        first: &[
            "大翔",
            "陽菜",
            "さくら",
            "ひなた",
            "アンナ",
            "蓮",
            "結衣",
            "ケンジ",
        ],
        last: &[
            "佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村",
        ],
        stems: &["山", "川", "森", "石"],
        ends: &["田", "口", "本", "崎"],
    },
    Region {
        share: 3,
        language: "ar",
        first: &[
            "محمد",
            "فاطمة",
            "أحمد",
            "مريم",
            "علي",
            "عائشة",
            "عمر",
            "آمنة",
        ],
        last: &["الحسن", "العلي", "الأحمد", "المصري", "حداد", "خوري", "نجار"],
        stems: &["عبد ال", "أبو "],
        ends: &["رحمن", "كريم", "لطيف", "سعيد"],
    },
    Region {
        share: 3,
        language: "vi",
        first: &[
            "Anh", "Hương", "Minh", "Thảo", "Đức", "Ngọc", "Tuấn", "Hằng",
        ],
        last: &[
            "Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Đặng",
        ],
        stems: &["Nguyễn ", "Trần ", "Lê "],
        ends: &["Văn", "Thị", "Đình", "Hữu"],
    },
];

/// Somewhere to come from.
pub fn region(dice: &mut Dice) -> &'static Region {
    let mut left = dice.below(REGIONS.iter().map(|region| region.share).sum());
    for region in &REGIONS {
        match left.checked_sub(region.share) {
            Some(less) => left = less,
            None => return region,
        }
    }
    &REGIONS[0]
}

impl Region {
    /// A first name; some have two.
    pub fn first_name(&self, dice: &mut Dice) -> String {
        let name = dice.common(self.first);
        if dice.once_in(25) {
            let second = dice.common(self.first);
            return format!("{name} {second}");
        }
        name.to_owned()
    }

    /// A last name: most are common, and some are two of them.
    pub fn last_name(&self, dice: &mut Dice) -> String {
        if dice.once_in(3) {
            return format!("{}{}", dice.any(self.stems), dice.any(self.ends));
        }
        let name = dice.common(self.last);
        if dice.once_in(40) {
            let second = dice.common(self.last);
            return format!("{name}-{second}");
        }
        name.to_owned()
    }
}

/// A name as it is written in an address: its Latin letters without their marks.
pub fn latin(name: &str) -> String {
    let mut latin = String::with_capacity(name.len());
    for letter in name.to_lowercase().chars() {
        match letter {
            'a'..='z' => latin.push(letter),
            'à'..='æ' | 'ą' | 'ă' | 'ả' | 'ạ' => latin.push('a'),
            'ç' | 'ć' => latin.push('c'),
            'đ' => latin.push('d'),
            'è'..='ë' | 'ę' | 'ễ' => latin.push('e'),
            'ì'..='ï' | 'ị' => latin.push('i'),
            'ł' => latin.push('l'),
            'ñ' | 'ń' => latin.push('n'),
            'ò'..='ö' | 'ø' | 'ọ' | 'œ' => latin.push('o'),
            'ś' => latin.push('s'),
            'ß' => latin.push_str("ss"),
            'ù'..='ü' | 'ư' | 'ấ' | 'ữ' | 'ỳ' => latin.push('u'),
            'ź' | 'ż' => latin.push('z'),
            _ => {}
        }
    }
    latin
}

#[cfg(test)]
mod tests {
    use rollbook_aggregates::values::PersonName;

    use super::*;

    #[test]
    fn every_name_is_one_and_common_ones_are_common() {
        let mut common = 0;
        for number in 0..20_000 {
            let mut dice = Dice::of(1, number);
            let region = region(&mut dice);
            let (first, last) = (region.first_name(&mut dice), region.last_name(&mut dice));
            PersonName::parse(&first).unwrap();
            PersonName::parse(&last).unwrap();
            assert!(latin(&first).bytes().all(|b| b.is_ascii_lowercase()));
            common += usize::from(first == "Anna");
        }
        assert!((200..4_000).contains(&common), "{common}");
    }

    #[test]
    fn shares_are_of_a_hundred() {
        assert_eq!(REGIONS.iter().map(|region| region.share).sum::<u64>(), 100);
    }
}
