"""Files of OCR results: ALTO, PAGE, hOCR, ABBYY, DjVuXML, and METS, which names them."""
