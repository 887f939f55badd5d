"""Which language a text is in, guessed from its letters and its smallest words. The user has the last word."""

import re
import unicodedata
from collections import Counter

LANGUAGES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
    "pl": "Polish",
    "tr": "Turkish",
    "vi": "Vietnamese",
    "id": "Indonesian",
    "sw": "Swahili",
    "ru": "Russian",
    "uk": "Ukrainian",
    "el": "Greek",
    "he": "Hebrew",
    "ar": "Arabic",
    "hi": "Hindi",
    "bn": "Bengali",
    "ta": "Tamil",
    "th": "Thai",
    "ko": "Korean",
    "ja": "Japanese",
    "zh": "Chinese",
    "other": "another",
}

_SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "HEBREW": "he",
    "ARABIC": "ar",
    "DEVANAGARI": "hi",
    "BENGALI": "bn",
    "TAMIL": "ta",
    "THAI": "th",
}
_WORDS = {
    "en": "the of and to is in that it was for on are with as at be this have from how what",
    "de": "der die das und ist in den von zu mit sich des auf für nicht ein eine wie man es dem im",
    "fr": "le la les de des et est en un une du que dans il pour qui sur pas au comment ses",
    "es": "el la los las de y es en un una que por con para del se no su al cómo lo",
    "it": "il la lo gli di e è in un una che per con del non si come della le nel",
    "pt": "o a os as de e é em um uma que por com para do da não se como no na",
    "nl": "de het een van en is in te dat op met voor zijn niet aan er om hoe",
    "pl": "i w na z się jest nie że to jak przez po o dla są",
    "tr": "ve bir bu da de için ile ne nasıl en çok olan gibi daha",
    "vi": "và là của có trong một không cho được các với những để như thế nào",
    "id": "dan yang di dari untuk dengan ini adalah itu tidak pada ke dalam bagaimana",
    "sw": "ya wa na ni kwa katika la za kuwa hii watu au cha vya jinsi",
}
_SMALL = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_LETTERS = {
    "de": "äöüß",
    "fr": "àâçèêëîïœùû",
    "es": "ñ¿¡áíóú",
    "it": "àèìòù",
    "pt": "ãõçáíóú",
    "pl": "ąćęłńśźż",
    "tr": "ğışç",
    "vi": "ăâđơưạảấầẩậắằẳặẹẻẽếềểễệỉịọỏốồổộớờởợụủứừửữựỳỵỷỹ",
}
_SPECIAL = {language: frozenset(letters) for language, letters in _LETTERS.items()}
_UKRAINIAN = frozenset("іїєґ")
_PERSIAN_AND_URDU = frozenset("پچژگٹڈ")


def guess(text: str) -> str:
    """Return the code of a text's language, `other` where nothing tells."""
    scripts = Counter(script for c in text[:2000] if c.isalpha() and (script := _script(c)))
    if not scripts:
        return "other"
    if {"HIRAGANA", "KATAKANA"} & scripts.keys():  # Chinese characters stand beside them
        return "ja"
    most = scripts.most_common(1)[0][0]
    letters = set(text.lower())
    if most == "LATIN":
        return _by_words(text)
    if most == "CYRILLIC" and letters & _UKRAINIAN:
        return "uk"
    if most == "ARABIC" and letters & _PERSIAN_AND_URDU:
        return "other"
    return _SCRIPTS.get(most, "other")


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _by_words(text: str) -> str:
    words, letters = re.findall(r"\w+", text[:2000].lower()), set(text[:2000].lower())
    found = {
        language: sum(word in small for word in words) + len(letters & _SPECIAL.get(language, frozenset()))
        for language, small in _SMALL.items()
    }
    best = max(found, key=found.__getitem__)
    return best if found[best] else "other"
