"""How easy a text is to read, by formulas that are counted and not judged.

English: the Flesch-Kincaid grade (Kincaid et al., "Derivation of new readability formulas for Navy enlisted personnel",
1975): 0.39 words per sentence + 11.8 syllables per word - 15.59, the years of school that a reader needs; a
twelve-year-old is in the sixth or seventh.

Spanish: the Fernández Huerta score ("Medidas sencillas de lecturabilidad", Consigna 214, 1959), in the form that
counts per word and sentence: 206.84 - 60 syllables per word - 1.02 words per sentence. 60 to 70 is normal, for seventh and eighth grade
(12 to 14 years); 70 and more fairly easy, for sixth grade and below.

Arabic: the LIX (Björnsson, "Läsbarhet", 1968): words per sentence + percentage of long words, those of more than six
letters; in Arabic of more than five (El-Haj and Rayson, "OSMAN: a novel Arabic readability metric", LREC 2016; their own
metric needs the vowel signs that no page writes). Below 30 is very easy, as children's books are; 40 to 50 is medium.

Hindi: the first model of Sinha, Sharma, Dasgupta and Basu ("New readability measures for Bangla and Hindi texts", COLING
2012), fitted to what readers judged: -2.34 + 2.14 akshars per word + 0.01 words of more than two akshars in 50 sentences;
the higher, the harder. It knows no school years: what it gives is compared with what it gives for a school reader.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

_LETTER = re.compile(r"[^\W\d_]")
_SENTENCE_END = re.compile(r"[.!?:;।؟؛]+(?=\s|$)|\n+")


def plain(markdown: str) -> str:
    """A text as it is read: without the marks of Markdown and without places to fill."""
    return re.sub(r"[*#`]|^- ", "", re.sub(r"\{[^}]*\}", "it", markdown), flags=re.MULTILINE)


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence: runs of characters with a letter in them."""
    parts = ([word for word in part.split() if _LETTER.search(word)] for part in _SENTENCE_END.split(text))
    return [part for part in parts if part]


def english_syllables(word: str) -> int:
    """Runs of vowels, less a mute e at the end (-e, -es, -ed); at least one."""
    word = word.lower()
    runs = len(re.findall(r"[aeiouy]+", word))
    mute = re.search(r"[^aeiouyl]e$|[^aeiouy][aeiouy]le$|[^aeiouysxzhcg]es$|[^aeiouytd]ed$", word)
    return max(1, runs - 1 if mute else runs)


def spanish_syllables(word: str) -> int:
    """Runs of vowels, each as many as it has strong or accented ones; the u of que, qui, gue and gui is mute."""
    word = re.sub(r"(?<=[qg])u(?=[eiéí])", "", unicodedata.normalize("NFC", word.lower()))
    runs = re.findall(r"[aeiouáéíóúü]+", word)
    return max(1, sum(max(1, len(re.findall(r"[aeoáéíóú]", run))) for run in runs))


def flesch_kincaid(text: str) -> float:
    """The school grade that an English text needs."""
    words_per_sentence, syllables_per_word = _rates(sentences(text), english_syllables)
    return 0.39 * words_per_sentence + 11.8 * syllables_per_word - 15.59


def fernandez_huerta(text: str) -> float:
    """How easy a Spanish text is: 100 is very easy, 0 very hard."""
    words_per_sentence, syllables_per_word = _rates(sentences(text), spanish_syllables)
    return 206.84 - 60 * syllables_per_word - 1.02 * words_per_sentence


_ARABIC = re.compile(r"[\u0621-\u063a\u0641-\u064a]")
_AKSHAR = re.compile(r"[\u0904-\u0914]|[\u0915-\u0939\u0958-\u0961](?!\u093c?\u094d)")


def lix(text: str) -> float:
    """How hard an Arabic text is, by the length of its sentences and its share of words of more than five letters."""
    found = sentences(text)
    lengths = [len(_ARABIC.findall(word)) for sentence in found for word in sentence]
    return len(lengths) / len(found) + 100 * sum(length > 5 for length in lengths) / len(lengths)


def akshars(word: str) -> int:
    """The written syllables of a Hindi word: vowels of their own, and consonants that no virama binds to the next."""
    return max(1, len(_AKSHAR.findall(unicodedata.normalize("NFC", word))))


def sinha(text: str) -> float:
    """How hard a Hindi text is, on the scale of readers' judgements."""
    found = sentences(text)
    lengths = [akshars(word) for sentence in found for word in sentence]
    polysyllabic = 50 * sum(length > 2 for length in lengths) / len(found)
    return -2.34 + 2.14 * sum(lengths) / len(lengths) + 0.01 * polysyllabic


def _rates(found: Sequence[Sequence[str]], syllables: Callable[[str], int]) -> tuple[float, float]:
    words = [word for sentence in found for word in sentence]
    return len(words) / len(found), sum(syllables(word) for word in words) / len(words)
