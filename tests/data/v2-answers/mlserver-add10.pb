
add10_11*;
OUTPUTFP32"
content_typenp*2š™!Aš™!Aš™!Aš™!A