//! Names of colours in seven languages.

use crate::answering::constraints::words::Word;

/// A colour: its English name, the colour that it is a shade of, and its names. A name ends in the language whose endings
/// it takes.
pub(super) struct Colour {
    pub(super) name: &'static str,
    /// The colour that also covers it; empty if none.
    pub(super) shade_of: &'static str,
    /// Whether the word alone is no sign of a colour, since it also names a thing.
    pub(super) is_ambiguous: bool,
    english: &'static str,
    german: &'static str,
    /// Spanish, French, Italian and Portuguese-like forms, each in full.
    romance: &'static str,
    dutch: &'static str,
    polish: &'static str,
}

const fn colour(name: &'static str, names: [&'static str; 5]) -> Colour {
    let [english, german, romance, dutch, polish] = names;
    Colour { name, shade_of: "", is_ambiguous: false, english, german, romance, dutch, polish }
}

const fn shade(name: &'static str, shade_of: &'static str, names: [&'static str; 5]) -> Colour {
    Colour { shade_of, ..colour(name, names) }
}

const fn ambiguous(name: &'static str, shade_of: &'static str, names: [&'static str; 5]) -> Colour {
    Colour { shade_of, is_ambiguous: true, ..colour(name, names) }
}

pub(super) const COLOURS: [Colour; 38] = [
    colour(
        "red",
        [
            "red reds",
            "rot",
            "rojo roja rojos rojas rouge rouges rosso rossa rossi rosse",
            "rood rode",
            "czerwon",
        ],
    ),
    colour(
        "blue",
        [
            "blue",
            "blau",
            "azul azules bleu bleue bleus bleues blu azzurro azzurra",
            "blauw blauwe",
            "niebiesk",
        ],
    ),
    colour(
        "green",
        ["green", "grun", "verde verdes verdi vert verte verts vertes", "groen groene", "zielon"],
    ),
    colour(
        "yellow",
        [
            "yellow",
            "gelb",
            "amarillo amarilla amarillos amarillas jaune jaunes giallo gialla gialli gialle",
            "geel gele",
            "zolt",
        ],
    ),
    colour(
        "black",
        [
            "black",
            "schwarz",
            "negro negra negros negras noir noire noirs noires nero nera neri nere",
            "zwart zwarte",
            "czarn",
        ],
    ),
    colour(
        "white",
        [
            "white",
            "weiss",
            "blanco blanca blancos blancas blanc blanche blancs blanches bianco bianca bianchi bianche",
            "wit witte",
            "bial",
        ],
    ),
    colour(
        "grey",
        ["grey gray", "grau", "gris grises grise grigio grigia grigi grigie", "grijs grijze", "szar"],
    ),
    colour(
        "brown",
        [
            "brown",
            "braun",
            "marron marrones brun brune bruns brunes marrone marroni",
            "bruin bruine",
            "brazow",
        ],
    ),
    colour("pink", ["pink", "pink rosafarben", "rosa rosas", "roze", "rozow"]),
    colour(
        "purple",
        [
            "purple violet",
            "purpur violett lila",
            "purpura pourpre morado morada violeta violette violettes violet viola",
            "paars paarse violet",
            "fioletow purpurow",
        ],
    ),
    shade("lilac", "purple", ["lilac mauve lavender", "flieder", "lila lilas lilla", "lila", "liliow"]),
    ambiguous(
        "orange",
        "",
        [
            "orange",
            "orange orangefarben",
            "naranja naranjas oranges arancione arancioni",
            "oranje",
            "pomaranczow",
        ],
    ),
    shade("navy", "blue", ["navy", "marineblau dunkelblau", "marino", "marineblauw", "granatow"]),
    shade("midnight", "blue", ["midnight", "mitternachtsblau nachtblau", "medianoche", "", ""]),
    shade("lightblue", "blue", ["", "hellblau himmelblau", "celeste", "lichtblauw", "blekitn"]),
    shade("teal", "green", ["teal", "petrol", "petrole", "", "morsk"]),
    shade("turquoise", "blue", ["turquoise", "turkis", "turquesa turchese", "turkoois", "turkusow"]),
    shade(
        "anthracite",
        "grey",
        ["anthracite", "anthrazit", "antracita antracite", "antraciet", "antracytow"],
    ),
    shade("graphite", "grey", ["graphite", "graphit", "grafito grafite", "grafiet", "grafitow"]),
    shade("darkgreen", "green", ["", "dunkelgrun hellgrun", "", "donkergroen", ""]),
    shade("darkgrey", "grey", ["", "dunkelgrau hellgrau", "", "donkergrijs", ""]),
    shade(
        "darkred",
        "red",
        [
            "maroon burgundy crimson scarlet",
            "dunkelrot weinrot bordeaux",
            "granate burdeos bordeaux",
            "donkerrood",
            "bordow",
        ],
    ),
    ambiguous("olive", "green", ["olive", "oliv", "oliva", "olijfgroen", "oliwkow"]),
    ambiguous("sage", "green", ["sage", "salbeigrun", "salvia", "saliegroen", ""]),
    ambiguous("mint", "green", ["mint", "mintgrun", "menta menthe", "mintgroen", "mietow"]),
    ambiguous("lime", "green", ["lime", "limette", "lima", "limoen", "limonkow"]),
    ambiguous(
        "mustard",
        "yellow",
        ["mustard", "senfgelb", "mostaza moutarde senape", "mosterdgeel", "musztardow"],
    ),
    shade("ochre", "yellow", ["ochre ocher", "ocker", "ocre ocra", "oker", "ochra"]),
    ambiguous(
        "gold",
        "",
        ["gold golden", "gold golden", "dorado dorada dore doree dorato dorata", "goud gouden", ""],
    ),
    ambiguous(
        "silver",
        "",
        [
            "silver",
            "silber silbern",
            "plateado plateada argente argentee argento",
            "zilver zilveren",
            "srebrn",
        ],
    ),
    ambiguous("rose", "pink", ["rose", "rose", "roses", "", ""]),
    ambiguous("coral", "", ["coral", "koralle", "corail corallo", "koraal", "koralow"]),
    ambiguous("sand", "beige", ["sand sandy", "sand sandfarben", "arena sable sabbia", "zand", "piaskow"]),
    ambiguous("cream", "", ["cream", "creme", "crema ecru", "creme", "kremow"]),
    colour("beige", ["beige", "beige", "beis beige", "beige", "bezow"]),
    colour(
        "multicoloured",
        [
            "multicoloured multicolored multicolor",
            "bunt mehrfarbig",
            "multicolore",
            "meerkleurig",
            "wielokolorow",
        ],
    ),
    ambiguous(
        "rust",
        "",
        ["rust terracotta copper bronze", "kupfer", "cobre cuivre rame", "koper", "miedzian"],
    ),
    ambiguous("charcoal", "grey", ["charcoal slate", "", "", "", "grafit"]),
];

const GERMAN_ENDINGS: [&str; 6] = ["", "e", "en", "er", "es", "em"];
const POLISH_ENDINGS: [&str; 13] =
    ["", "y", "a", "e", "ego", "ej", "ym", "ych", "i", "ie", "iego", "im", "o"];

impl Colour {
    pub(super) fn is(&self, word: &str, english_only: bool) -> bool {
        let among = |words: &str| words.split(' ').any(|name| !name.is_empty() && name == word);
        let stem = |stems: &str, endings: &[&str]| {
            let mut stems = stems.split(' ').filter(|stem| !stem.is_empty());
            stems.any(|stem| word.strip_prefix(stem).is_some_and(|ending| endings.contains(&ending)))
        };
        among(self.english)
            || !english_only
                && (stem(self.german, &GERMAN_ENDINGS)
                    || among(self.romance)
                    || among(self.dutch)
                    || stem(self.polish, &POLISH_ENDINGS))
    }
}

pub(super) fn colour_of(word: &Word, english_only: bool) -> Option<&'static Colour> {
    COLOURS.iter().find(|colour| colour.is(&word.folded, english_only))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answering::constraints::words::read_words;

    #[test]
    fn a_colour_is_known_in_seven_languages_and_its_forms() {
        for (text, name) in [
            ("rote", "red"),
            ("Roten", "red"),
            ("roja", "red"),
            ("rouges", "red"),
            ("rossi", "red"),
            ("rood", "red"),
            ("czerwoną", "red"),
            ("niebieskiego", "blue"),
            ("żółty", "yellow"),
            ("weißes", "white"),
            ("GRAY", "grey"),
            ("blanche", "white"),
            ("grüner", "green"),
            ("noires", "black"),
            ("Ocker", "ochre"),
        ] {
            let words = read_words(text);
            assert_eq!(colour_of(&words[0], false).map(|colour| colour.name), Some(name), "{text}");
        }
        assert!(colour_of(&read_words("rode")[0], true).is_none());
    }
}
