"""What the playground begins with: three sentences, each in seven languages."""

_MEANINGS = {
    "A": {
        "en": "Plants need water and light to grow.",
        "de": "Pflanzen brauchen Wasser und Licht zum Wachsen.",
        "fr": "Les plantes ont besoin d'eau et de lumière pour pousser.",
        "es": "Las plantas necesitan agua y luz para crecer.",
        "ru": "Растениям для роста нужны вода и свет.",
        "zh": "植物生长需要水和阳光。",
        "ar": "تحتاج النباتات إلى الماء والضوء لتنمو.",
    },
    "B": {
        "en": "The Second World War ended in 1945.",
        "de": "Der Zweite Weltkrieg endete 1945.",
        "fr": "La Seconde Guerre mondiale s'est terminée en 1945.",
        "es": "La Segunda Guerra Mundial terminó en 1945.",
        "ru": "Вторая мировая война закончилась в 1945 году.",
        "zh": "第二次世界大战于1945年结束。",
        "ar": "انتهت الحرب العالمية الثانية عام 1945.",
    },
    "C": {
        "en": "The file could not be opened.",
        "de": "Die Datei konnte nicht geöffnet werden.",
        "fr": "Le fichier n'a pas pu être ouvert.",
        "es": "No se pudo abrir el archivo.",
        "ru": "Не удалось открыть файл.",
        "zh": "无法打开文件。",
        "ar": "تعذر فتح الملف.",
    },
}

EXAMPLES = [(text, language, meaning) for meaning, texts in _MEANINGS.items() for language, text in texts.items()]
"""Texts with their languages, and a letter that translations of each other share."""

LONG = " ".join(f"This is sentence {n} of a text that is longer than the model reads." for n in range(1, 61))
"""More tokens than any of the encoders reads."""
